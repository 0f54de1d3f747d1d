package io.ucow.it;

import java.nio.file.Files;
import java.nio.file.Path;

/** {@code bin/ucow} as a user runs it: {@code Ucow.command("create", "--base", base, image).succeed()}. */
final class Ucow {
    /** {@code bin/ucow} of the build that is tested. */
    static final Path BIN =
            Path.of(System.getProperty("ucow.bin", "../bin/ucow")).normalize();

    private Ucow() {}

    /**
     * One call of it.
     *
     * @param arguments verb, options, paths; each as its {@code toString()} has it
     * @throws AssertionError when the build has left no {@code bin/ucow}; that is never a reason to skip
     */
    static Tool command(Object... arguments) {
        if (!Files.isExecutable(BIN)) {
            throw new AssertionError("-Ducow.bin=" + BIN + " is no program");
        }
        return Tool.of(BIN.toAbsolutePath(), arguments);
    }
}
