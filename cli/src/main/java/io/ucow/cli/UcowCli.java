package io.ucow.cli;

import io.ucow.cli.daemon.DaemonLauncher;
import io.ucow.sys.LibcLoader;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.charset.Charset;
import java.util.List;
import java.util.Optional;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;
import picocli.CommandLine.ScopeType;
import picocli.CommandLine.Spec;
import picocli.CommandLine.UnmatchedArgumentException;

/** The command line, {@code bin/ucow VERB}. Each verb is a class of its own. */
@Command(
        name = "ucow",
        description = "Copy-on-write block devices in user space: private disks over a shared base image.",
        synopsisSubcommandLabel = "VERB",
        mixinStandardHelpOptions = true,
        versionProvider = Version.class,
        commandListHeading = "%nVerbs:%n",
        footer = {"", "Each verb explains itself: ucow VERB --help. Sizes take the suffixes K, M, G, T, P and E."})
public final class UcowCli implements Runnable {
    private final DaemonLauncher launcher;

    @Spec
    private CommandSpec spec;

    @Option(
            names = {"-v", "--verbose"},
            scope = ScopeType.INHERIT,
            description = "Say more when something fails.")
    private boolean verbose;

    private UcowCli(DaemonLauncher launcher) {
        this.launcher = launcher;
    }

    /** Runs the command and ends the process with its exit code. */
    public static void main(String[] arguments) {
        if (OwnProcess.isMeant(arguments)) {
            System.exit(OwnProcess.run(arguments[0]));
        }
        Logging.toStandardError();
        DaemonLauncher launcher = new DaemonLauncher();
        int code;
        try (launcher) {
            if (Verb.startsDaemon(arguments)) {
                launcher.prepare();
            } else if (Verb.makesSystemCalls(arguments)) {
                LibcLoader.loadBeside(); // while the command line is read, which takes as long
            }
            code = execute(launcher, arguments);
        }
        launcher.exit(code);
    }

    private static int execute(DaemonLauncher launcher, String[] arguments) {
        StandardOutput standard = new StandardOutput();
        PrintWriter out = new PrintWriter(standard, true, Charset.forName(System.getProperty("sun.jnu.encoding")));
        return writingTo(standard, commandLine(launcher, arguments).setOut(out)).execute(arguments);
    }

    /** Has commands fail whose results did not get to where {@code standard} leads. */
    static CommandLine writingTo(StandardOutput standard, CommandLine line) {
        return line.setExecutionStrategy(parsed -> {
            int code = new CommandLine.RunLast().execute(parsed);
            List<CommandLine> verbs = parsed.asCommandLineList();
            CommandLine verb = verbs.get(verbs.size() - 1);
            verb.getOut().flush();
            try {
                standard.requireComplete();
            } catch (IOException e) {
                throw new CommandLine.ExecutionException(verb, e.getMessage(), e);
            }
            return code;
        });
    }

    /**
     * A command line that reports as {@link ErrorLine} and {@link ExitCodes} say, and is to execute {@code arguments}. Of
     * other verbs than they name it knows no options.
     *
     * @param launcher for the verbs that start a daemon
     */
    static CommandLine commandLine(DaemonLauncher launcher, String... arguments) {
        CommandLine line = new CommandLine(new UcowCli(launcher));
        List<String> words = List.of(arguments);
        Optional<Verb> first = words.isEmpty() ? Optional.empty() : Verb.of(words.get(0));
        if (first.isPresent()) {
            first.get().declare(line);
        } else {
            for (Verb verb : Verb.values()) {
                if (verb.isNamedIn(words)) {
                    verb.declare(line);
                } else {
                    verb.outline(line);
                }
            }
        }
        return line.setExpandAtFiles(false) // a verb in a file would be found too late, and an image may be called @x
                .setParameterExceptionHandler(UcowCli::onUsageError)
                .setExecutionExceptionHandler(UcowCli::onFailure);
    }

    DaemonLauncher launcher() {
        return launcher;
    }

    /** No verb was given. */
    @Override
    public void run() {
        throw new ParameterException(spec.commandLine(), "which verb?");
    }

    private static int onUsageError(ParameterException error, String[] arguments) {
        CommandLine command = error.getCommandLine();
        String problem = error.getMessage();
        if (error instanceof UnmatchedArgumentException unmatched && !unmatched.isUnknownOption()) {
            String argument = unmatched.getUnmatched().get(0);
            problem = command.getParent() == null
                    ? "there is no verb '" + argument + "'"
                    : "what is '" + argument + "'? It is one argument too many";
        }
        command.getErr()
                .println("ucow: " + ErrorLine.joined(problem) + " (see: "
                        + command.getCommandSpec().qualifiedName() + " --help)");
        return command.getCommandSpec().exitCodeOnInvalidInput();
    }

    private static int onFailure(Exception failure, CommandLine command, ParseResult parsed) {
        PrintWriter err = command.getErr();
        err.println("ucow: " + ErrorLine.of(failure));
        UcowCli root = (UcowCli) command.getCommandSpec().root().userObject();
        if (root.verbose) {
            failure.printStackTrace(err);
        }
        Object verb = command.getCommand();
        boolean ownCodes = verb instanceof CheckCommand || verb instanceof DiffCommand;
        return ownCodes ? command.getCommandSpec().exitCodeOnExecutionException() : ExitCodes.of(failure);
    }
}
