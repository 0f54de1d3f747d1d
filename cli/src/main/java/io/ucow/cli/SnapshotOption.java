package io.ucow.cli;

import java.util.Optional;
import picocli.CommandLine.Option;

/** {@code --snapshot}, for the verbs that read an image. */
final class SnapshotOption {
    @Option(
            names = "--snapshot",
            paramLabel = "NAME",
            description =
                    "Read what this internal snapshot of a qcow2 image holds, named by its id or name, instead of the"
                            + " current state. Nothing is written.")
    private String name;

    Optional<String> name() {
        return Optional.ofNullable(name);
    }
}
