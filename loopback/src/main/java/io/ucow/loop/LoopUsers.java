package io.ucow.loop;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;

/**
 * Who keeps a loop device busy, in words for an error message. A best effort that never fails, since it must not hide
 * the error it adds to: what we may not look into (other mount namespaces, other users' processes, for root even some)
 * or what ends while we look stays unnamed, and what is found may be over when it is read.
 *
 * <p>Threading: stateless.
 */
final class LoopUsers {
    /** Fields of a {@code mountinfo} line that come before the optional ones, see {@code proc(5)}. */
    private static final int MOUNT_POINT = 4;

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
    String describe(Path device, Path sysfs) {
        Pattern nodes = Pattern.compile(Pattern.quote(device.toString()) + "(p\\d+)?");
        List<String> users = new ArrayList<>();
        addMounts(nodes, users);
        addHolders(sysfs, users);
        addProcesses(nodes, users);
        return String.join(", ", users);
    }

    private void addMounts(Pattern nodes, List<String> users) {
        for (String line : lines(proc.resolve("self/mountinfo"))) {
            String[] fields = line.split(" ");
            // ... mount point, options, any number of optional fields, "-", file system type, source, its options
            int separator = List.of(fields).indexOf("-");
            if (separator > MOUNT_POINT && nodes.matcher(fields[separator + 2]).matches()) {
                users.add("mounted on " + unescape(fields[MOUNT_POINT]));
            }
        }
    }

    /** Device mapper and RAID devices on the disk, or on a partition: {@code loop0/holders}, {@code loop0/loop0p1/holders}. */
    private static void addHolders(Path sysfs, List<String> users) {
        List<Path> disks = new ArrayList<>(List.of(sysfs));
        disks.addAll(children(sysfs, sysfs.getFileName() + "p*"));
        for (Path disk : disks) {
            for (Path holder : children(disk.resolve("holders"), "*")) {
                users.add("held by " + holder.getFileName());
            }
        }
    }

    private void addProcesses(Pattern nodes, List<String> users) {
        for (Path process : children(proc, "[0-9]*")) {
            if (hasOpen(process, nodes)) {
                users.add("open in " + command(process) + " (pid " + process.getFileName() + ")");
            }
        }
    }

    private static boolean hasOpen(Path process, Pattern nodes) {
        for (Path descriptor : children(process.resolve("fd"), "*")) {
            if (nodes.matcher(target(descriptor)).matches()) {
                return true;
            }
        }
        return false;
    }

    private static String command(Path process) {
        List<String> name = lines(process.resolve("comm"));
        return name.isEmpty() ? "a program" : name.get(0);
    }

    /** What an entry of {@code /proc/PID/fd} points to; empty when that cannot be read. */
    private static String target(Path descriptor) {
        try {
            return Files.readSymbolicLink(descriptor).toString();
        } catch (IOException e) {
            return "";
        }
    }

    /** The lines of a file; none when it cannot be read. */
    private static List<String> lines(Path file) {
        try {
            // Decoded by hand: one mount with a name that is no UTF-8 must not hide the others.
            return new String(Files.readAllBytes(file), StandardCharsets.UTF_8)
                    .lines()
                    .toList();
        } catch (IOException e) {
            return List.of();
        }
    }

    /** The entries of a directory; none when it cannot be read. */
    private static List<Path> children(Path directory, String glob) {
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(directory, glob)) {
            List<Path> children = new ArrayList<>();
            entries.forEach(children::add);
            return children;
        } catch (IOException | DirectoryIteratorException e) {
            return List.of();
        }
    }

    /** Undoes mountinfo's octal escapes of white space and backslashes. */
    private static String unescape(String field) {
        return field.replace("\\040", " ")
                .replace("\\011", "\t")
                .replace("\\012", "\n")
                .replace("\\134", "\\");
    }
}
