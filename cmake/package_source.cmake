# Run by cpack: packs the staged source as a tarball in which no order, owner or date is the machine's.

find_program(TAR tar REQUIRED)
if(DEFINED ENV{SOURCE_DATE_EPOCH})
    set(date --mtime=@$ENV{SOURCE_DATE_EPOCH})
endif()
set(tarball "${CPACK_PACKAGE_DIRECTORY}/${CPACK_PACKAGE_FILE_NAME}.tar.xz")
execute_process(
    COMMAND ${TAR} --sort=name --owner=0 --group=0 --numeric-owner --mode=u+rw,go=rX ${date}
        --transform "s,^[.],${CPACK_PACKAGE_FILE_NAME}," -cJf "${tarball}" .
    WORKING_DIRECTORY "${CPACK_TEMPORARY_DIRECTORY}"
    COMMAND_ERROR_IS_FATAL ANY)
set(CPACK_EXTERNAL_BUILT_PACKAGES "${tarball}")
