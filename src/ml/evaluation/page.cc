#include "ml/evaluation/page.h"

#include <fmt/format.h>

#include "ml/evaluation/chart.h"

namespace nacelle::evaluation {

namespace {

constexpr std::string_view style = R"css(
:root{color-scheme:light dark;--paper:#fff;--card:#f6f7f9;--ink:#1c2330;--soft:#5b6577;--rule:#dfe3ea;--c1:#2563a8;--c2:#c2571a;--c3:#2c8a57;--c4:#8a4fb0;--c5:#b3353f;--c6:#16808c;--c7:#a07a12;--c8:#5a6fd0;--c9:#c04d8f;--c10:#6b7280}
@media (prefers-color-scheme:dark){:root{--paper:#14181f;--card:#1c222c;--ink:#e4e8ef;--soft:#98a3b5;--rule:#313947;--c1:#6aa9ec;--c2:#f0955a;--c3:#66c892;--c4:#bf8fe0;--c5:#f07f88;--c6:#5cc3cf;--c7:#d9b451;--c8:#97a6f5;--c9:#ee8cc4;--c10:#a3adbd}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
main{max-width:1180px;margin:0 auto;padding:32px 24px 64px}h1{font-size:26px;line-height:1.25;margin:0 0 4px}h2{font-size:19px;margin:40px 0 12px}p{margin:4px 0 12px;max-width:75ch}.soft{color:var(--soft)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:20px 0}.card{background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:12px 14px}.card b{display:block;font-size:24px;font-weight:650;font-variant-numeric:tabular-nums}.card span{color:var(--soft);font-size:13px}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,480px),1fr));gap:14px}.small{grid-template-columns:repeat(auto-fit,minmax(min(100%,300px),1fr))}figure{margin:0;background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:8px}svg{display:block;width:100%;height:auto}
svg text{fill:var(--ink);font-size:12px}svg .title{font-size:14px;font-weight:600}svg tspan.tick{font-weight:400}svg .tick{fill:var(--soft);font-size:11px}svg .label{fill:var(--soft);font-size:12px}.grid{stroke:var(--rule);stroke-width:1}.axis{stroke:var(--soft);stroke-width:1;fill:none}
.line{fill:none;stroke:currentColor;stroke-width:1.8;stroke-linejoin:round}.line.faint{stroke-width:1;opacity:.75}.dots{fill:currentColor;fill-opacity:.6}.bars{fill:currentColor;fill-opacity:.8}.key{fill:currentColor}
.c1{color:var(--c1)}.c2{color:var(--c2)}.c3{color:var(--c3)}.c4{color:var(--c4)}.c5{color:var(--c5)}.c6{color:var(--c6)}.c7{color:var(--c7)}.c8{color:var(--c8)}.c9{color:var(--c9)}.c10{color:var(--c10)}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}th,td{padding:4px 14px 4px 0;text-align:right;border-bottom:1px solid var(--rule)}th{color:var(--soft);font-weight:600;font-size:13px}th:first-child,td:first-child{text-align:left}.scroll{overflow-x:auto}summary{cursor:pointer;color:var(--soft)}code{font-size:13px;overflow-wrap:anywhere}
)css";

}  // namespace

std::string page_begin(std::string_view title) {
  return fmt::format(
      "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width,initial-scale=1\"><title>{0}</title><style>{1}</style></head><body><main><h1>{0}</h1>",
      escape_markup(title), style);
}

std::string_view page_end() { return "</main></body></html>\n"; }

}  // namespace nacelle::evaluation
