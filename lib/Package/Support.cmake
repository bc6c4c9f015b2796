# Support.cmake - The folder of files that qcc links into its results.
# SPDX-License-Identifier: Apache-2.0
#
# Linking must need nothing on the machine where qcc runs, so the start files,
# compiler support archives and C library of the build machine are copied beside
# qcc. An artefact needs a C library at least as new as the copied one.

# The tests include it again.
include_guard(GLOBAL)

# In the cache, since deferred calls run in the scope of the top folder.
set(QCC_SUPPORT_DIR ${CMAKE_BINARY_DIR}/lib/qcc CACHE INTERNAL "")
set(QCC_SYSTEM_LINK_INPUTS
  Scrt1.o crti.o crtn.o crtbeginS.o crtendS.o
  libc.so.6 libm.so.6 ld-linux-x86-64.so.2 libc_nonshared.a
  libgcc.a libgcc_eh.a libstdc++.a libpcre2-8.a CACHE INTERNAL "")

# qcc_copy_system_link_inputs(FOLDER): copies them at build time; sets
# QCC_COPIED_LINK_INPUTS to what is made.
function(qcc_copy_system_link_inputs folder)
  set(copies)
  foreach(name IN LISTS QCC_SYSTEM_LINK_INPUTS)
    # A compiler that does not find a file answers with the bare name.
    execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-file-name=${name}
      OUTPUT_VARIABLE path OUTPUT_STRIP_TRAILING_WHITESPACE)
    if(NOT IS_ABSOLUTE "${path}")
      message(FATAL_ERROR
        "${CMAKE_CXX_COMPILER} does not find ${name}; install g++ and libpcre2-dev")
    endif()
    file(REAL_PATH ${path} path)
    add_custom_command(OUTPUT ${folder}/${name}
      COMMAND ${CMAKE_COMMAND} -E make_directory ${folder}
      COMMAND ${CMAKE_COMMAND} -E copy ${path} ${folder}/${name}
      DEPENDS ${path} VERBATIM)
    list(APPEND copies ${folder}/${name})
  endforeach()
  set(QCC_COPIED_LINK_INPUTS ${copies} PARENT_SCOPE)
endfunction()

# qcc_add_support(): the target qcc_support, all of lib/qcc. The runtime's
# targets may be defined after this file, hence the deferred call.
function(qcc_add_support)
  if(NOT TARGET qcc_rt OR NOT TARGET qcc_text OR NOT TARGET qcc_cli
      OR NOT TARGET qcc_device OR NOT TARGET qcc_exe_main)
    return()
  endif()
  qcc_copy_system_link_inputs(${QCC_SUPPORT_DIR})
  set(copies ${QCC_COPIED_LINK_INPUTS})
  foreach(target qcc_rt qcc_device qcc_text qcc_cli)
    add_custom_command(OUTPUT ${QCC_SUPPORT_DIR}/lib${target}.a
      COMMAND ${CMAKE_COMMAND} -E make_directory ${QCC_SUPPORT_DIR}
      COMMAND ${CMAKE_COMMAND} -E copy
        $<TARGET_FILE:${target}> ${QCC_SUPPORT_DIR}/lib${target}.a
      DEPENDS ${target} VERBATIM)
    list(APPEND copies ${QCC_SUPPORT_DIR}/lib${target}.a)
  endforeach()
  add_custom_command(OUTPUT ${QCC_SUPPORT_DIR}/qcc_exe_main.o
    COMMAND ${CMAKE_COMMAND} -E make_directory ${QCC_SUPPORT_DIR}
    COMMAND ${CMAKE_COMMAND} -E copy
      $<TARGET_OBJECTS:qcc_exe_main> ${QCC_SUPPORT_DIR}/qcc_exe_main.o
    DEPENDS qcc_exe_main $<TARGET_OBJECTS:qcc_exe_main> VERBATIM)
  list(APPEND copies ${QCC_SUPPORT_DIR}/qcc_exe_main.o)
  add_custom_target(qcc_support ALL DEPENDS ${copies})
  install(DIRECTORY ${QCC_SUPPORT_DIR} DESTINATION lib)
endfunction()
cmake_language(DEFER DIRECTORY ${CMAKE_SOURCE_DIR} CALL qcc_add_support)
