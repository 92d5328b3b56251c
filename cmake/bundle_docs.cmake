# Run by the build: installs the packages of web/docs beside the build, never in the source tree,
# and bundles the pages into TO/dist. Needs NPM, NODE, FROM and TO.
file(MAKE_DIRECTORY ${TO})
file(GLOB inputs ${FROM}/*.*)
file(COPY ${inputs} ${FROM}/.npmrc DESTINATION ${TO})
execute_process(COMMAND ${NPM} ci WORKING_DIRECTORY ${TO} RESULT_VARIABLE status
                OUTPUT_VARIABLE said ERROR_VARIABLE said)
if(NOT status EQUAL 0)
  message("${said}")
  message(FATAL_ERROR "npm could not install the packages of web/docs, which the pages /docs and "
                      "/redoc are bundled from: its words stand above. Is the package registry "
                      "within reach?")
endif()
execute_process(COMMAND ${NODE} bundle.mjs WORKING_DIRECTORY ${TO} RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "the pages /docs and /redoc could not be bundled")
endif()
