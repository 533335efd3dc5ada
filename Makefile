# Verbs; the build itself is Meson's.
.PHONY: all asan check bench install clean
all: build/build.ninja
	ninja -C build
build/build.ninja:
	meson setup build
asan: build-asan/build.ninja
	ninja -C build-asan
build-asan/build.ninja:
	meson setup build-asan -Db_sanitize=address,undefined -Db_lundef=false
check:
	./check
bench: all
	tools/bench
install: all
	meson install -C build
clean:
	rm -rf build build-asan
