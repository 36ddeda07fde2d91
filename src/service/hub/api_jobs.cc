// Jobs over REST (wire facts 2.8).
#include "service/hub/api.h"
#include "service/hub/jobs.h"

namespace nacelle::hub {
namespace {

net::HttpResponse job_answer(const Services& services, const Result<json::Value>& document) {
  if (document) return json_answer(200, *document);
  switch (document.error().fault) {
    case Fault::not_found: return services.error(kinds::job_not_found, document.error().message);
    case Fault::conflict: return services.error(kinds::job_exists, document.error().message);
    case Fault::exhausted: return services.error(kinds::too_many_jobs, document.error().message);
    default: return services.error(document.error());
  }
}

}  // namespace

net::HttpResponse put_job(Services& services, const Call& call) {
  const auto document = call.json();
  if (!document) return services.error(document.error());
  const auto request = read_job(*document, call.captures[0]);
  if (!request) return services.error(request.error());
  return job_answer(services, services.fleet.jobs->schedule(*request));
}

net::HttpResponse get_job(Services& services, const Call& call) {
  return job_answer(services, services.fleet.jobs->find(call.captures[0]));
}

net::HttpResponse cancel_job(Services& services, const Call& call) {
  return job_answer(services, services.fleet.jobs->cancel(call.captures[0]));
}

net::HttpResponse query_jobs(Services& services, const Call& call) {
  const auto size = page_size_of(call);
  if (!size) return services.error(size.error());
  auto page = services.fleet.jobs->list(call.request.query("jobType"), call.request.query("jobStatus"), *size,
                                        std::string(call.request.headers.get("x-ms-continuation")));
  if (!page) return services.error(page.error());
  return page_answer(std::move(page->rows), page->item_type, page->continuation);
}

}  // namespace nacelle::hub
