# Verbs; the build itself is Meson's.
.PHONY: all check asan promises fuzz bench install clean
all: build/build.ninja
	ninja -C build
build/build.ninja:
	meson setup build
check:
	./check
asan:
	./check unit-asan api-asan
promises: all
	WASMCLOUD_FILTER_MIB=100 tools/pytest tests/api/test_filter.py
	WASMCLOUD_KILLS=200 tools/pytest tests/api -k at_any_moment
	WASMCLOUD_GENERATED=50000 tools/pytest tests/api/test_generated.py --timeout 0
fuzz:
	tools/fuzz
bench: all
	tools/bench
install: all
	meson install -C build
clean:
	rm -rf build build-asan build-fuzz
