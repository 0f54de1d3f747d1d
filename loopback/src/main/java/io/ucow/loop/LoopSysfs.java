package io.ucow.loop;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.Charset;
import java.nio.charset.CodingErrorAction;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What {@code /sys/block/loop*} says. Reading it opens no device and asks nothing of the attached files' file systems,
 * so it cannot wait for a dead FUSE daemon, and it needs no rights.
 *
 * <p>Threading: stateless. Devices may come and go while this reads; a state is always of one attachment.
 */
final class LoopSysfs {
    private static final Pattern DEVICE_NAME = Pattern.compile("loop(\\d{1,7})");
    private static final String DELETED_SUFFIX = " (deleted)";
    private static final int SECTOR_BYTES = 512;
    private static final int MAX_READS = 16;
    /** The charset of file names, which is that of {@link Path#of} too. */
    private static final Charset FILE_NAMES = Charset.forName(System.getProperty("sun.jnu.encoding"));

    private final Path blockDevices;

    /** @param blockDevices {@code /sys/block}, or a test's imitation */
    LoopSysfs(Path blockDevices) {
        this.blockDevices = blockDevices;
    }

    /** Every attachment, by ascending number. */
    List<LoopState> list() throws IOException {
        List<LoopState> states = new ArrayList<>();
        for (int number : numbers()) {
            read(number).ifPresent(states::add);
        }
        return states;
    }

    /** What is attached to {@code /dev/loop<number>} now; empty when nothing is, or not yet or no longer all of it. */
    Optional<LoopState> read(int number) throws IOException {
        Path device = directory(number);
        IOException failure = null;
        for (int i = 0; i < MAX_READS; i++) {
            try {
                long before = diskSequence(device);
                LoopState state = readOnce(number, device, before);
                // A detach or attach in between would have mixed two attachments into one state.
                if (diskSequence(device) == before) {
                    return Optional.of(state);
                }
            } catch (NoSuchFileException e) {
                return Optional.empty(); // all attributes are there exactly while a file is attached
            } catch (IOException e) {
                failure = e; // ENODEV, if the attribute is just being removed
            }
        }
        throw failure != null ? failure : new IOException(device + ": never the same while being read");
    }

    /** The directory of the device's own attributes, whether anything is attached or not. */
    Path directory(int number) {
        return blockDevices.resolve("loop" + number);
    }

    private List<Integer> numbers() throws IOException {
        List<Integer> numbers = new ArrayList<>();
        try (DirectoryStream<Path> devices = Files.newDirectoryStream(blockDevices, "loop*")) {
            for (Path device : devices) {
                Matcher name = DEVICE_NAME.matcher(device.getFileName().toString());
                if (name.matches()) {
                    numbers.add(Integer.valueOf(name.group(1)));
                }
            }
        }
        numbers.sort(null);
        return numbers;
    }

    private static LoopState readOnce(int number, Path device, long diskSequence) throws IOException {
        Path loop = device.resolve("loop");
        String backing = text(loop.resolve("backing_file"));
        boolean deleted = backing.endsWith(DELETED_SUFFIX);
        LoopOptions options = new LoopOptions(
                number(device.resolve("ro")) != 0,
                number(loop.resolve("dio")) != 0,
                number(loop.resolve("partscan")) != 0,
                (int) number(device.resolve("queue/logical_block_size")),
                number(loop.resolve("autoclear")) != 0);
        return new LoopState(
                number,
                diskSequence,
                deleted ? backing.substring(0, backing.length() - DELETED_SUFFIX.length()) : backing,
                deleted,
                number(loop.resolve("offset")),
                number(loop.resolve("sizelimit")),
                number(device.resolve("size")) * SECTOR_BYTES,
                options);
    }

    private static long diskSequence(Path device) throws IOException {
        try {
            return number(device.resolve("diskseq"));
        } catch (NoSuchFileException e) {
            return 0;
        }
    }

    private static long number(Path attribute) throws IOException {
        String text = text(attribute);
        try {
            return Long.parseLong(text);
        } catch (NumberFormatException e) {
            throw new IOException(attribute + ": expected a number, found '" + text + "'", e);
        }
    }

    /** The attribute without the line feed that sysfs adds; any other belongs to a file's name. */
    private static String text(Path attribute) throws IOException {
        byte[] bytes = Files.readAllBytes(attribute);
        int length = bytes.length > 0 && bytes[bytes.length - 1] == '\n' ? bytes.length - 1 : bytes.length;
        // One foreign device whose file name does not suit our locale must not break the listing of the others.
        return FILE_NAMES
                .newDecoder()
                .onMalformedInput(CodingErrorAction.REPLACE)
                .onUnmappableCharacter(CodingErrorAction.REPLACE)
                .replaceWith("?")
                .decode(ByteBuffer.wrap(bytes, 0, length))
                .toString();
    }
}
