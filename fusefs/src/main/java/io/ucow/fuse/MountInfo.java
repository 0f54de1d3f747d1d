package io.ucow.fuse;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * One line of {@code /proc/self/mountinfo}. Reading it touches no mounted file system, so nothing here can hang.
 *
 * <p>Source: {@code Documentation/filesystems/proc.rst}, section 3.5:
 * <pre>
 *   36 35 0:41 / /run/ucow/vm\0401 rw,nosuid shared:7 master:1 - fuse.ucow ucow rw,user_id=0
 *   id |  |    |   mount point     options   optional fields   |  type     source  options of the file system
 *      |  device, major:minor                                  separator
 *      parent   root in the file system
 * </pre>
 * Space, tab, newline, backslash and {@code #} appear in names as a backslash and three octal digits.
 *
 * @param device the device number its files report, major in the upper 32 bits as in {@link io.ucow.sys.FileStatus}
 * @param directory where it is mounted, absolute
 * @param type file-system type, for FUSE with its subtype: {@code fuse.ucow}
 * @param source what was mounted; free text for FUSE
 */
public record MountInfo(long device, Path directory, String type, String source) {
    /** FUSE subtype and source of every ucow mount. */
    public static final String UCOW = "ucow";

    private static final Path SELF = Path.of("/proc/self/mountinfo");

    /** True if some ucow process made this mount. */
    public boolean isUcow() {
        return type.equals("fuse." + UCOW);
    }

    /** All mounts this process can see, in mounting order: a later one may cover an earlier one. */
    public static List<MountInfo> current() throws IOException {
        // ISO 8859-1 keeps every byte; a mount point elsewhere may be no valid text at all.
        return parse(new String(Files.readAllBytes(SELF), ISO_8859_1));
    }

    /** The mount on top at {@code directory}, which must be absolute and free of symbolic links. */
    public static Optional<MountInfo> at(Path directory) throws IOException {
        return current().stream().filter(m -> m.directory().equals(directory)).reduce((covered, top) -> top);
    }

    /**
     * Parses the text of {@code mountinfo}, one char per byte.
     *
     * @throws IOException naming the first line that is not as documented
     */
    static List<MountInfo> parse(String text) throws IOException {
        var mounts = new ArrayList<MountInfo>();
        for (String line : text.lines().toList()) {
            mounts.add(parseLine(line));
        }
        return List.copyOf(mounts);
    }

    private static MountInfo parseLine(String line) throws IOException {
        String[] fields = line.split(" ", -1);
        int separator = 6;
        while (separator < fields.length && !fields[separator].equals("-")) {
            separator++;
        }
        int colon = fields.length > 2 ? fields[2].indexOf(':') : -1;
        if (separator + 2 >= fields.length || colon < 0) {
            throw new IOException("cannot understand the mountinfo line: " + line);
        }
        try {
            long major = Long.parseLong(fields[2].substring(0, colon));
            long minor = Long.parseLong(fields[2].substring(colon + 1));
            return new MountInfo(
                    major << 32 | minor,
                    Path.of(unescape(fields[4])),
                    unescape(fields[separator + 1]),
                    unescape(fields[separator + 2]));
        } catch (IllegalArgumentException e) {
            throw new IOException("cannot understand the mountinfo line: " + line, e);
        }
    }

    private static String unescape(String field) {
        var bytes = new ByteArrayOutputStream(field.length());
        for (int i = 0; i < field.length(); i++) {
            if (field.charAt(i) == '\\' && i + 3 < field.length()) {
                bytes.write(Integer.parseInt(field.substring(i + 1, i + 4), 8));
                i += 3;
            } else {
                bytes.write(field.charAt(i));
            }
        }
        return bytes.toString(UTF_8);
    }
}
