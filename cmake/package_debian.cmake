# Run by cpack between installing and packing: gives each Debian package what Debian's policy asks for and no other
# installation has. Nothing here may depend on when or where it runs.

if(NOT CPACK_GENERATOR STREQUAL DEB)
    return()
endif()
find_program(GZIP gzip REQUIRED)
find_program(STRIP strip REQUIRED)
set(here "${CMAKE_CURRENT_LIST_DIR}")
set(version "${CPACK_PACKAGE_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE}")
string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC) # SOURCE_DATE_EPOCH, where it is set

function(compress file)
    execute_process(COMMAND ${GZIP} -9nf "${file}" COMMAND_ERROR_IS_FATAL ANY)
endfunction()

foreach(component IN LISTS CPACK_COMPONENTS_ALL)
    string(TOUPPER ${component} upper)
    set(package ${CPACK_DEBIAN_${upper}_PACKAGE_NAME})
    set(usr "${CPACK_TEMPORARY_INSTALL_DIRECTORY}/${component}/usr")

    # The license is in the copyright file.
    file(REMOVE_RECURSE "${usr}/share/doc/tina")
    set(doc "${usr}/share/doc/${package}")
    file(MAKE_DIRECTORY "${doc}")
    configure_file("${here}/debian/copyright" "${doc}/copyright" COPYONLY)
    configure_file("${here}/../CHANGELOG.md" "${doc}/changelog" COPYONLY)
    file(WRITE "${doc}/changelog.Debian" "tina (${version}) unstable; urgency=medium\n\n"
        "  * As cpack makes it from the source; what changed is in changelog.gz.\n\n"
        " -- ${CPACK_PACKAGE_CONTACT}  ${date}\n")
    compress("${doc}/changelog")
    compress("${doc}/changelog.Debian")

    file(GLOB_RECURSE pages "${usr}/share/man/*")
    foreach(page IN LISTS pages)
        if(IS_SYMLINK "${page}")
            file(READ_SYMLINK "${page}" target)
            file(REMOVE "${page}")
            file(CREATE_LINK "${target}.gz" "${page}.gz" SYMBOLIC)
        else()
            compress("${page}")
        endif()
    endforeach()

    file(GLOB_RECURSE archives "${usr}/lib/*.a")
    foreach(archive IN LISTS archives)
        execute_process(COMMAND ${STRIP} --strip-debug --enable-deterministic-archives "${archive}"
            COMMAND_ERROR_IS_FATAL ANY)
    endforeach()
endforeach()
