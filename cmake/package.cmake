# What cpack makes: libtina0 (to run programs), libtina-dev (to build them, with the manual), tina-tools where there are
# tools, and the source's tarball. scripts/package drives it; with SOURCE_DATE_EPOCH set, equal sources give equal bytes.

set(TINA_MAINTAINER "The libtina maintainers <maintainers@localhost>" CACHE STRING "Who answers for the packages: Name <address>")

set(CPACK_PACKAGE_NAME tina)
set(CPACK_PACKAGE_VENDOR libtina)
set(CPACK_PACKAGE_CONTACT "${TINA_MAINTAINER}")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_RESOURCE_FILE_LICENSE "${PROJECT_SOURCE_DIR}/LICENSE")
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_STRIP_FILES ON)
set(CPACK_VERBATIM_VARIABLES ON)

# ---- The source ----

# cpack's own archives have their files in the folder's order; so the staged tree is packed by a script.
set(CPACK_SOURCE_GENERATOR External)
set(CPACK_SOURCE_PACKAGE_FILE_NAME "tina-${PROJECT_VERSION}")
set(CPACK_EXTERNAL_ENABLE_STAGING ON)
set(CPACK_EXTERNAL_PACKAGE_SCRIPT "${PROJECT_SOURCE_DIR}/cmake/package_source.cmake")
set(CPACK_SOURCE_IGNORE_FILES "/\\.git/" "/\\.git$" "/build[^/]*/" "/__pycache__/")

# ---- Debian ----

set(description "A program is made of isolates, structs with a handler, that live on shards, one
thread each, which share nothing and send each other messages. Supervisors
restart what crashes; all memory is taken at boot; the same program runs under
a deterministic simulation.")

set(CPACK_GENERATOR DEB)
set(CPACK_COMPONENTS_ALL runtime development)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SOURCE tina)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
set(CPACK_PRE_BUILD_SCRIPTS "${PROJECT_SOURCE_DIR}/cmake/package_debian.cmake")
set(version_and_release "${PROJECT_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE}")
set(runtime_package "libtina${PROJECT_VERSION_MAJOR}")

set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME ${runtime_package})
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_CONTROL_EXTRA "${PROJECT_SOURCE_DIR}/cmake/debian/triggers")
set(CPACK_COMPONENT_RUNTIME_DESCRIPTION "${description}
.
This package has what programs need to run.")

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libtina-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
    "${runtime_package} (= ${version_and_release}), libc6-dev, liburing-dev (>= 2.3), pkg-config")
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "${description}
.
This package has the headers, the archive, what CMake and pkg-config ask for,
and the manual.")

if(TARGET tinatop) # installed as the component "tools"
    list(APPEND CPACK_COMPONENTS_ALL tools)
    set(CPACK_DEBIAN_TOOLS_PACKAGE_NAME tina-tools)
    set(CPACK_DEBIAN_TOOLS_PACKAGE_SECTION utils)
    set(CPACK_DEBIAN_TOOLS_PACKAGE_SHLIBDEPS ON)
    set(CPACK_COMPONENT_TOOLS_DESCRIPTION "${description}
.
This package has tinatop, a view of running systems.")
endif()

include(CPack)
