package io.ucow.cli;

import picocli.CommandLine.Option;

/** {@code --transport}, for the verbs that mount. */
final class TransportOption {
    @Option(
            names = "--transport",
            paramLabel = "NAME",
            defaultValue = "auto",
            description =
                    "How to talk to the kernel: auto, or one that 'ucow plugins' lists. Default: ${DEFAULT-VALUE}.")
    String name;
}
