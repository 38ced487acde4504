#include <tina/version.h>

const char *tina_version(void) { return TINA_VERSION; }
