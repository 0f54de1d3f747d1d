package io.ucow.cli.daemon;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;

/** A shell script in the place of {@code bin/ucow}, which daemons and keepers are started by, until it is closed. */
final class Script implements AutoCloseable {
    private static final String PROPERTY = "ucow.script";

    private Script() {}

    /** @param body gets the verb as its first argument */
    static Script inPlace(Path directory, String body) throws IOException {
        Path file = Files.writeString(directory.resolve("script"), "#!/bin/sh\n" + body + "\n");
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rwx------"));
        System.setProperty(PROPERTY, file.toString());
        return new Script();
    }

    @Override
    public void close() {
        System.clearProperty(PROPERTY);
    }
}
