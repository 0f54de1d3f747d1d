package io.ucow.cli.daemon;

import io.ucow.loop.LoopControl;
import io.ucow.loop.LoopDevice;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Who uses the files of a mount, in words for an error message. A best effort: processes of other users show themselves
 * to root alone, and what is found may be over when it is read.
 */
final class MountUsers {
    private MountUsers() {}

    /** Such as {@code ["bash (pid 7)", "/dev/loop3"]}; empty when nobody was found. */
    static List<String> of(Path dir) throws IOException {
        List<String> users = processes(dir);
        for (LoopDevice loop : LoopControl.list()) {
            if (loop.backingFile().startsWith(dir)) {
                users.add(loop.path().toString());
            }
        }
        return users;
    }

    /** Processes other than this one, which has its shell's open files; for those who see to the loop devices. */
    static List<String> processes(Path dir) throws IOException {
        List<String> users = new ArrayList<>();
        Path self = Path.of("/proc", Long.toString(ProcessHandle.current().pid()));
        try (DirectoryStream<Path> processes = Files.newDirectoryStream(Path.of("/proc"), "[0-9]*")) {
            for (Path process : processes) {
                if (!process.equals(self) && uses(process, dir)) {
                    users.add(nameOf(process) + " (pid " + process.getFileName() + ")");
                }
            }
        }
        return users;
    }

    private static boolean uses(Path process, Path dir) {
        if (pointsInto(process.resolve("cwd"), dir)) {
            return true;
        }
        try (DirectoryStream<Path> descriptors = Files.newDirectoryStream(process.resolve("fd"))) {
            for (Path descriptor : descriptors) {
                if (pointsInto(descriptor, dir)) {
                    return true;
                }
            }
            return false;
        } catch (IOException e) {
            return false; // it has ended, or is none of our business
        }
    }

    private static boolean pointsInto(Path link, Path dir) {
        try {
            return Files.readSymbolicLink(link).startsWith(dir);
        } catch (IOException e) {
            return false; // as above
        }
    }

    private static String nameOf(Path process) {
        try {
            return Files.readString(process.resolve("comm")).strip();
        } catch (IOException e) {
            return "a process";
        }
    }
}
