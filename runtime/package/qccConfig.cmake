# qccConfig.cmake - find_package(qcc): the target qcc::qcc has the header of
# applications (qcc-rt/qcc.h) and what opening a compiled model needs.
include(${CMAKE_CURRENT_LIST_DIR}/qccTargets.cmake)
