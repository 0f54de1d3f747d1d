package io.ucow.cli;

import io.ucow.cli.daemon.DaemonLauncher;
import io.ucow.cli.daemon.DaemonMain;
import io.ucow.cli.daemon.Keeper;
import io.ucow.sys.LibcLoader;
import java.io.IOException;

/** What ucow starts for itself, with verbs that are not for people: no options, no help, and nothing to read first. */
final class OwnProcess {
    private OwnProcess() {}

    /** True if a command line with these arguments is one of them. */
    static boolean isMeant(String[] arguments) {
        return arguments.length == 1 && (arguments[0].equals(DaemonLauncher.VERB) || arguments[0].equals(Keeper.VERB));
    }

    /** Runs it. @return the process's exit code */
    static int run(String verb) {
        LibcLoader.loadBeside(); // nothing of it is needed at once
        Logging.ofDaemon();
        try {
            return verb.equals(Keeper.VERB)
                    ? Keeper.run(System.in, System.out)
                    : DaemonMain.run(System.in, System.out, ErrorLine::toRemote);
        } catch (IOException | InterruptedException | RuntimeException e) {
            System.err.println("ucow: " + ErrorLine.of(e));
            return ExitCodes.of(e);
        }
    }
}
