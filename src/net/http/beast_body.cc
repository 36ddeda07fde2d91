// Boost.Beast's separately compiled bodies, once for every program.
#include <boost/beast/src.hpp>
