/* A library that waits to be called, no program: refused at upload. */
__attribute__((export_name("_initialize"))) void initialize(void)
{
}
