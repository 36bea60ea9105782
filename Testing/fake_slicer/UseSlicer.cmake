# Slicer's and CTK's macros as far as a scripted module needs them.

function(ctkMacroCompilePythonScript)
  cmake_parse_arguments(PY "NO_INSTALL_SUBDIR;GLOBAL_TARGET" "TARGET_NAME;SOURCE_DIR;DESTINATION_DIR;INSTALL_DIR" "SCRIPTS;RESOURCES" ${ARGN})
  foreach(name TARGET_NAME SCRIPTS DESTINATION_DIR INSTALL_DIR)
    if(NOT PY_${name})
      message(FATAL_ERROR "${name} is mandatory")
    endif()
  endforeach()
  if(PY_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "Unknown arguments ${PY_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT PY_SOURCE_DIR)
    set(PY_SOURCE_DIR ${CMAKE_CURRENT_SOURCE_DIR})
  endif()
  set(copies)
  foreach(file ${PY_SCRIPTS} ${PY_RESOURCES})
    set(copy ${PY_DESTINATION_DIR}/${file})
    add_custom_command(OUTPUT ${copy} DEPENDS ${PY_SOURCE_DIR}/${file}
      COMMAND ${CMAKE_COMMAND} -E copy ${PY_SOURCE_DIR}/${file} ${copy})
    list(APPEND copies ${copy})
  endforeach()
  add_custom_target(Copy${PY_TARGET_NAME}PythonFiles ALL DEPENDS ${copies})
  # As CTK does: the whole folder, once for each target.
  install(DIRECTORY ${PY_DESTINATION_DIR}/ DESTINATION ${PY_INSTALL_DIR})
endfunction()

function(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MODULE "WITH_GENERIC_TESTS;WITH_SUBDIR;VERBOSE" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  if(NOT MODULE_NAME OR MODULE_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "NAME is mandatory, unknown: ${MODULE_UNPARSED_ARGUMENTS}")
  endif()
  foreach(file ${MODULE_SCRIPTS} ${MODULE_RESOURCES})
    if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${file})
      message(FATAL_ERROR "slicerMacroBuildScriptedModule given nonexistent file '${file}'")
    endif()
  endforeach()
  ctkMacroCompilePythonScript(
    TARGET_NAME ${MODULE_NAME}
    SCRIPTS "${MODULE_SCRIPTS}"
    RESOURCES "${MODULE_RESOURCES}"
    DESTINATION_DIR ${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR}
    INSTALL_DIR ${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR}
    NO_INSTALL_SUBDIR
    )
endfunction()

function(slicer_add_python_unittest)
  cmake_parse_arguments(TEST "" "SCRIPT;TESTNAME_PREFIX" "SLICER_ARGS" ${ARGN})
  if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${TEST_SCRIPT})
    message(FATAL_ERROR "No test script '${TEST_SCRIPT}'")
  endif()
  file(APPEND ${CMAKE_BINARY_DIR}/tests.txt "${TEST_SCRIPT}\n")
endfunction()
