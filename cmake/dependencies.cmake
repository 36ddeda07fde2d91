# Every third-party library, as an imported target under one name. Debian 12 packages; see ./dev setup.
find_package(Threads REQUIRED)
find_package(OpenSSL 3 REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(ZLIB REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(LibArchive REQUIRED)
find_package(Eigen3 REQUIRED NO_MODULE)
find_package(CLI11 REQUIRED)
find_package(prometheus-cpp REQUIRED)

find_path(NACELLE_BOOST_INCLUDE boost/asio/as_tuple.hpp
  HINTS ${NACELLE_BOOST} ENV NACELLE_BOOST
  PATHS ${CMAKE_SOURCE_DIR}/.deps/boost-1.81/usr/include NO_DEFAULT_PATH)
if(NOT NACELLE_BOOST_INCLUDE)
  message(FATAL_ERROR "Boost 1.81's headers were not found; run ./dev setup")
endif()
# Header-only: one .cc a library holds the separately compiled bodies (foundation/asio_body.cc, net/http/beast_body.cc).
add_library(boost INTERFACE)
target_include_directories(boost SYSTEM INTERFACE ${NACELLE_BOOST_INCLUDE})
target_compile_definitions(boost INTERFACE BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION
  BOOST_ASIO_NO_DEPRECATED BOOST_ALL_NO_LIB)

find_library(XGBOOST_LIBRARY xgboost REQUIRED)
find_path(XGBOOST_INCLUDE xgboost/c_api.h REQUIRED)
add_library(xgboost UNKNOWN IMPORTED)
set_target_properties(xgboost PROPERTIES IMPORTED_LOCATION ${XGBOOST_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${XGBOOST_INCLUDE})

find_library(SIMDJSON_LIBRARY simdjson REQUIRED)
find_path(SIMDJSON_INCLUDE simdjson.h REQUIRED)
add_library(simdjson UNKNOWN IMPORTED)
set_target_properties(simdjson PROPERTIES IMPORTED_LOCATION ${SIMDJSON_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${SIMDJSON_INCLUDE})

find_library(LIBDEFLATE_LIBRARY deflate REQUIRED)
find_path(LIBDEFLATE_INCLUDE libdeflate.h REQUIRED)
add_library(libdeflate UNKNOWN IMPORTED)
set_target_properties(libdeflate PROPERTIES IMPORTED_LOCATION ${LIBDEFLATE_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${LIBDEFLATE_INCLUDE})

# Used without its proactor: no sockets and no threads of its own.
find_library(PROTON_LIBRARY qpid-proton REQUIRED)
find_path(PROTON_INCLUDE proton/connection_driver.h REQUIRED)
add_library(proton UNKNOWN IMPORTED)
set_target_properties(proton PROPERTIES IMPORTED_LOCATION ${PROTON_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${PROTON_INCLUDE})

if(NACELLE_TESTS)
  find_package(GTest REQUIRED)
endif()
if(NACELLE_BENCH)
  find_package(benchmark REQUIRED)
endif()
