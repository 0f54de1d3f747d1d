package io.ucow.cli;

import io.ucow.fuse.Transport;
import picocli.CommandLine.Option;

/** {@code --transport}, for the verbs that mount. */
final class TransportOption {
    @Option(
            names = "--transport",
            paramLabel = "NAME",
            defaultValue = "${env:UCOW_TRANSPORT:-" + Transport.AUTO + "}",
            description = {
                "How to talk to the kernel: auto, or one that 'ucow plugins' lists.",
                "Default: what the environment variable UCOW_TRANSPORT says, else auto; now ${DEFAULT-VALUE}."
            })
    String name;
}
