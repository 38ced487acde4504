/* Given with -include: the library as it would be if it counted nothing by type, and measured no tick. */
#define TINA__WITHOUT_MEASURES 1
