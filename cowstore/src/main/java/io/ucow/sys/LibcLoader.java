package io.ucow.sys;

/** Loads {@link Libc} ahead of its first use. Not a method of that class: whoever calls one loads it, and waits for that. */
public final class LibcLoader {
    private LibcLoader() {}

    /** Has a thread of its own load what the first system call needs, which takes longest of all that a start does. */
    public static void loadBeside() {
        Thread loading = new Thread(Libc::geteuid, "loading");
        loading.setDaemon(true);
        loading.start();
    }
}
