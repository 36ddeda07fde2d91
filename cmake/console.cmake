# nacelle_console(TARGET): the built console, web/dist, as bytes in the target. Without it (web/ was not built) the table is
# empty and the hub says so. Each file comes with its form packed by gzip.
#
# The assembler reads the files where they lie, so nothing is turned into text and no folder is needed at run time.
function(nacelle_console target)
  set(dist ${CMAKE_SOURCE_DIR}/web/dist)
  file(GLOB_RECURSE files RELATIVE ${dist} CONFIGURE_DEPENDS ${dist}/*)
  list(FILTER files EXCLUDE REGEX "\\.gz$")
  set(assembly)
  set(externs)
  set(entries)
  set(inputs)
  set(n 0)
  foreach(file ${files})
    if(NOT EXISTS ${dist}/${file}.gz)
      continue()
    endif()
    file(SHA256 ${dist}/${file} hash)
    foreach(form plain gzip)
      set(path ${dist}/${file})
      if(form STREQUAL gzip)
        string(APPEND path .gz)
      endif()
      list(APPEND inputs ${path})
      set(name nacelle_console_${n}_${form})
      string(APPEND assembly "    \".global ${name}, ${name}_end\\n\"\n    \"${name}: .incbin \\\"${path}\\\"\\n\"\n    \"${name}_end:\\n\"\n")
      string(APPEND externs "extern const char ${name}[], ${name}_end[];\n")
    endforeach()
    set(stem nacelle_console_${n})
    string(APPEND entries "    {\"${file}\", \"${hash}\", {${stem}_plain, ${stem}_plain_end}, {${stem}_gzip, ${stem}_gzip_end}},\n")
    math(EXPR n "${n} + 1")
  endforeach()

  set(assets "{}")
  if(n GREATER 0)
    set(assets "files")
    set(assembly "asm(\n    \".pushsection .rodata\\n\"\n${assembly}    \".popsection\\n\");\n\nextern \"C\" {\n${externs}}\n")
    set(entries "const nacelle::hub::ConsoleFile files[] = {\n${entries}};\n")
  endif()
  set(source ${CMAKE_CURRENT_BINARY_DIR}/console_files.cc)
  file(CONFIGURE OUTPUT ${source} @ONLY CONTENT [[// Written by cmake/console.cmake.
#include "service/hub/console.h"

@assembly@
namespace {
@entries@}  // namespace

namespace nacelle::hub {
std::span<const ConsoleFile> console_files() { return @assets@; }
}  // namespace nacelle::hub
]])
  set_source_files_properties(${source} PROPERTIES OBJECT_DEPENDS "${inputs}" SKIP_PRECOMPILE_HEADERS ON)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${inputs})  # the hashes are taken here
  target_sources(${target} PRIVATE ${source})
endfunction()
