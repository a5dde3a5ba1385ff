# The compiler for an arm64 host, and the name under which its Python looks for the module: parts.py.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(SKBUILD_SOABI cpython-311-aarch64-linux-gnu)
