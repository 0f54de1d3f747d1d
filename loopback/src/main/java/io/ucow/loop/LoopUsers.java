package io.ucow.loop;

import java.io.IOException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;

/**
 * Who keeps a loop device busy, in words for an error message. A best effort: users in other mount namespaces and
 * processes we may not look into stay unnamed, and what is found may be over when it is read.
 *
 * <p>Threading: stateless.
 */
final class LoopUsers {
    /** Fields of a {@code mountinfo} line that come before the optional ones, see {@code proc(5)}. */
    private static final int MOUNT_POINT = 4;

    private static final Pattern PROCESS = Pattern.compile("\\d+");

    private final Path proc;

    /** @param proc {@code /proc}, or a test's imitation */
    LoopUsers(Path proc) {
        this.proc = proc;
    }

    /**
     * Names the users of a device and of its partitions.
     *
     * @param device {@code /dev/loopN}
     * @param sysfs {@code /sys/block/loopN}
     * @return such as {@code "mounted on /mnt, held by dm-0, open in fio (pid 7)"}; empty when none was found
     */
    String describe(Path device, Path sysfs) throws IOException {
        Pattern nodes = Pattern.compile(Pattern.quote(device.toString()) + "(p\\d+)?");
        List<String> users = new ArrayList<>();
        addMounts(nodes, users);
        addHolders(sysfs, users);
        addProcesses(nodes, users);
        return String.join(", ", users);
    }

    private void addMounts(Pattern nodes, List<String> users) throws IOException {
        for (String line : Files.readAllLines(proc.resolve("self/mountinfo"))) {
            String[] fields = line.split(" ");
            // ... mount point, options, any number of optional fields, "-", file system type, source, its options
            int separator = List.of(fields).indexOf("-");
            if (separator > MOUNT_POINT && nodes.matcher(fields[separator + 2]).matches()) {
                users.add("mounted on " + unescape(fields[MOUNT_POINT]));
            }
        }
    }

    /** Device mapper and RAID devices on the disk, or on a partition: {@code loop0/holders}, {@code loop0/loop0p1/holders}. */
    private static void addHolders(Path sysfs, List<String> users) throws IOException {
        List<Path> disks = new ArrayList<>(List.of(sysfs));
        disks.addAll(children(sysfs, sysfs.getFileName() + "p*"));
        for (Path disk : disks) {
            for (Path holder : children(disk.resolve("holders"), "*")) {
                users.add("held by " + holder.getFileName());
            }
        }
    }

    private void addProcesses(Pattern nodes, List<String> users) throws IOException {
        for (Path process : children(proc, "[0-9]*")) {
            if (PROCESS.matcher(process.getFileName().toString()).matches() && hasOpen(process, nodes)) {
                users.add("open in " + command(process) + " (pid " + process.getFileName() + ")");
            }
        }
    }

    private static boolean hasOpen(Path process, Pattern nodes) throws IOException {
        for (Path descriptor : children(process.resolve("fd"), "*")) {
            if (nodes.matcher(target(descriptor)).matches()) {
                return true;
            }
        }
        return false;
    }

    /** What an entry of {@code /proc/PID/fd} points to; empty when it was closed since the directory was read. */
    private static String target(Path descriptor) throws IOException {
        try {
            return Files.readSymbolicLink(descriptor).toString();
        } catch (NoSuchFileException e) {
            return "";
        }
    }

    private static String command(Path process) throws IOException {
        try {
            return Files.readString(process.resolve("comm")).strip();
        } catch (NoSuchFileException e) {
            return "a program that has just ended";
        }
    }

    /** The entries of a directory; none when it is gone, or not ours to read. */
    private static List<Path> children(Path directory, String glob) throws IOException {
        List<Path> children = new ArrayList<>();
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(directory, glob)) {
            entries.forEach(children::add);
        } catch (DirectoryIteratorException e) {
            throw e.getCause();
        } catch (IOException e) {
            if (Files.isReadable(directory)) {
                throw e;
            }
        }
        return children;
    }

    /** Undoes mountinfo's octal escapes of white space and backslashes. */
    private static String unescape(String field) {
        return field.replace("\\040", " ")
                .replace("\\011", "\t")
                .replace("\\012", "\n")
                .replace("\\134", "\\");
    }
}
