#pragma once
// The report of an evaluation: one HTML page with its plots inside; no script, nothing fetched, light and dark.

#include <string>

#include "ml/evaluation/explanations.h"
#include "ml/evaluation/robustness.h"

namespace nacelle::evaluation {

struct ReportSource {
  std::string title;  ///< "turbofan-rul:3 on test_FD003"
  std::string model;  ///< as the reader named it
  std::string data;
  std::string made_at;                     ///< ISO 8601; empty: left out, and the page is the same every time
  const Robustness* robustness = nullptr;  ///< shown if there
  const Comparison* comparison = nullptr;  ///< of this model with another, which is the first
  std::string against;                     ///< what the other is called
  const FleetExplanation* explanation = nullptr;
};

/// `table` is what was evaluated; its true remaining lives are the evaluation's.
std::string render_report(const ReportSource& source, const model::Estimator& estimator, const dataset::FleetTable& table,
                          const Evaluation& evaluation);

}  // namespace nacelle::evaluation
