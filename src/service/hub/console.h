#pragma once
// The console in the browser (web/), served on the port of the calls from bytes inside the program.

#include <optional>
#include <span>
#include <string_view>

#include "net/http/message.h"

namespace nacelle::hub {

/// One file of web/dist, as built in (cmake/console.cmake).
struct ConsoleFile {
  std::string_view path;    ///< below web/dist
  std::string_view sha256;  ///< of the plain bytes, hexadecimal
  std::string_view plain;
  std::string_view gzip;
};
/// Empty if web/ was not built when the program was.
std::span<const ConsoleFile> console_files();

/// The answer to `/console/..`, and to a browser that asks for `/`; nothing if the request is not for the console. Any thread.
std::optional<net::HttpResponse> answer_console(const net::HttpRequest& request,
                                                std::span<const ConsoleFile> files = console_files());

}  // namespace nacelle::hub
