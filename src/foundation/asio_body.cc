// Boost.Asio's separately compiled bodies, once for every program.
#include <boost/asio/impl/src.hpp>
