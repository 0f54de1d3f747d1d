package io.ucow.cli;

import java.util.Collections;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;

/**
 * The verbs, as {@code ucow --help} lists them. To read all that their annotations say takes longer than most verbs do, so
 * only the one that is asked for is read.
 */
enum Verb {
    CREATE(CreateCommand.class),
    MOUNT(MountCommand.class),
    UNMOUNT(UnmountCommand.class, "umount"),
    ATTACH(AttachCommand.class),
    DETACH(DetachCommand.class),
    LIST(ListCommand.class),
    STATUS(StatusCommand.class),
    INFO(InfoCommand.class),
    MAP(MapCommand.class),
    TABLE(TableCommand.class),
    CHECK(CheckCommand.class),
    FLATTEN(FlattenCommand.class),
    DIFF(DiffCommand.class),
    SNAPSHOT(SnapshotCommand.class),
    RESIZE(ResizeCommand.class),
    CHANGED(ChangedCommand.class),
    EXPORT(ExportCommand.class),
    IMPORT(ImportCommand.class),
    COMMIT(CommitCommand.class),
    REBASE(RebaseCommand.class),
    COMPACT(CompactCommand.class),
    SCRUB(ScrubCommand.class),
    RESTART(RestartCommand.class),
    PLUGINS(PluginsCommand.class);

    private final Class<?> command;

    @SuppressWarnings("ImmutableEnumChecker") // List.of is immutable
    private final List<String> aliases;

    Verb(Class<?> command, String... aliases) {
        this.command = command;
        this.aliases = List.of(aliases);
    }

    /** The verb that is written {@code word}, if there is one. */
    static Optional<Verb> of(String word) {
        for (Verb verb : values()) {
            if (verb.isNamedIn(List.of(word))) {
                return Optional.of(verb);
            }
        }
        return Optional.empty();
    }

    /** True if a command line with these arguments will most likely start a daemon. */
    static boolean startsDaemon(String[] arguments) {
        return runsOneOf(EnumSet.of(ATTACH, MOUNT), arguments)
                && !List.of(arguments).contains("--foreground");
    }

    /** True if a command line with these arguments will most likely make system calls in this process. */
    static boolean makesSystemCalls(String[] arguments) {
        return runsOneOf(EnumSet.complementOf(EnumSet.of(LIST, STATUS, PLUGINS)), arguments)
                && !startsDaemon(arguments);
    }

    private static boolean runsOneOf(EnumSet<Verb> verbs, String[] arguments) {
        return arguments.length > 0
                && of(arguments[0]).filter(verbs::contains).isPresent()
                && Collections.disjoint(List.of(arguments), List.of("--help", "-h", "--version", "-V"));
    }

    boolean isNamedIn(List<String> words) {
        return words.contains(word()) || !Collections.disjoint(words, aliases);
    }

    /** As it is written. */
    String word() {
        return name().toLowerCase(Locale.ROOT);
    }

    /** Adds all of it to a command line. */
    void declare(CommandLine line) {
        line.addSubcommand(word(), command, aliases.toArray(String[]::new));
    }

    /** Adds what the list of verbs says of it, without its options. */
    void outline(CommandLine line) {
        CommandSpec outline = CommandSpec.create();
        outline.usageMessage().description(command.getAnnotation(Command.class).description());
        line.addSubcommand(word(), outline, aliases.toArray(String[]::new));
    }
}
