package io.ucow.it;

import static org.junit.jupiter.api.Assertions.fail;
import static org.junit.jupiter.api.Assumptions.abort;

import io.ucow.fuse.Transport;
import io.ucow.sys.Errno;
import io.ucow.sys.Libc;
import io.ucow.sys.NativeException;
import io.ucow.sys.NativeFile;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.Locale;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import java.util.zip.GZIPInputStream;

/**
 * What a test needs of the machine. A missing capability skips the test, with its reason in the report; where
 * {@code -Ducow.it.require=fuse,loop,tools} names the capability, it fails the test instead. Called in a test or in its
 * {@code @BeforeAll}.
 */
final class Requirements {
    /** The words of {@code ucow.it.require}. */
    private enum Capability {
        /** {@code /dev/fuse} can be opened. */
        FUSE,
        /** Loop devices can be attached. */
        LOOP,
        /** Outside programs are installed. */
        TOOLS,
        /** File systems and partition tables the kernel can be built without. */
        KERNEL
    }

    private static final Set<Capability> REQUIRED = required(System.getProperty("ucow.it.require", ""));

    private Requirements() {}

    /**
     * Somebody can mount through FUSE here, with root's rights or a user's. Where {@code UCOW_TRANSPORT} names a
     * transport, that one can.
     */
    static void fuse() {
        requireOpens(Capability.FUSE, Path.of("/dev/fuse"));
        Transport.all().stream()
                .filter(t -> t.name().equals(transport()))
                .findFirst()
                .flatMap(Transport::unusableBecause)
                .ifPresent(reason -> missing(Capability.FUSE, transport() + ": " + reason));
    }

    /** What {@code bin/ucow} mounts with when it is not told otherwise. */
    static String transport() {
        return System.getenv().getOrDefault("UCOW_TRANSPORT", Transport.AUTO);
    }

    /** What is mounted outlives its daemon: transport {@code direct}, and a kernel that sends requests again. */
    static void survival() throws IOException {
        fuse();
        if (transport().equals("jnr")) {
            abort("mounts of transport jnr end with their daemon");
        }
        String[] release =
                Files.readString(Path.of("/proc/sys/kernel/osrelease")).split("[^0-9]", -1);
        int major = Integer.parseInt(release[0]);
        int minor = Integer.parseInt(release[1]);
        if (major < 6 || (major == 6 && minor < 9)) {
            missing(Capability.KERNEL, "Linux " + major + "." + minor + " sends no requests again, 6.9 does");
        }
        if (Libc.geteuid() != 0) {
            missing(Capability.FUSE, "transport direct takes root");
        }
    }

    /** Loop devices exist, and we may attach them. */
    static void loop() {
        requireOpens(Capability.LOOP, Path.of("/dev/loop-control"));
        if (Libc.geteuid() != 0) {
            missing(Capability.LOOP, "attaching loop devices takes root");
        }
    }

    /** These programs are on the search path, {@code /sbin} and {@code /usr/sbin} included. */
    static void tools(String... names) {
        for (String name : names) {
            if (Tool.find(name).isEmpty()) {
                missing(Capability.TOOLS, "no program '" + name + "' on " + Tool.SEARCH_PATH);
            }
        }
    }

    /** The kernel can mount this type of file system, built in or by a module it finds. */
    static void fileSystem(String type) throws IOException {
        Path modules = Path.of(
                "/lib/modules",
                Files.readString(Path.of("/proc/sys/kernel/osrelease")).strip());
        boolean known = anyLineEndsWith(Path.of("/proc/filesystems"), "\t" + type)
                || anyLineEndsWith(modules.resolve("modules.dep"), "/" + type + ".ko:")
                || anyLineEndsWith(modules.resolve("modules.builtin"), "/" + type + ".ko");
        if (!known) {
            missing(Capability.KERNEL, "the kernel has no file system '" + type + "'");
        }
    }

    /** The kernel reads GPT partition tables. Believed unless it says otherwise in {@code /proc/config.gz}. */
    static void partitionTables() throws IOException {
        Path config = Path.of("/proc/config.gz");
        if (Files.exists(config)) {
            try (BufferedReader lines = new BufferedReader(new InputStreamReader(
                    new GZIPInputStream(Files.newInputStream(config)), StandardCharsets.US_ASCII))) {
                if (lines.lines().noneMatch("CONFIG_EFI_PARTITION=y"::equals)) {
                    missing(Capability.KERNEL, "the kernel reads no GPT (CONFIG_EFI_PARTITION)");
                }
            }
        }
    }

    private static void requireOpens(Capability capability, Path device) {
        try (NativeFile opened = NativeFile.open(device, Libc.O_RDWR)) {
            if (opened.status().isRegular()) {
                missing(capability, device + " is a regular file");
            }
        } catch (NativeException e) {
            missing(capability, e.getMessage());
        } catch (IOException e) {
            missing(capability, device + ": " + Errno.describe(Errno.of(e)));
        }
    }

    private static boolean anyLineEndsWith(Path file, String end) throws IOException {
        if (!Files.exists(file)) {
            return false;
        }
        try (Stream<String> lines = Files.lines(file)) {
            // modules.dep goes on with what the module needs: "kernel/fs/xfs/xfs.ko: kernel/lib/libcrc32c.ko"
            return lines.map(line -> line.replaceFirst("(?<=:) .*", "")).anyMatch(line -> line.endsWith(end));
        }
    }

    private static void missing(Capability capability, String reason) {
        String name = capability.name().toLowerCase(Locale.ROOT);
        if (REQUIRED.contains(capability)) {
            fail("required by -Ducow.it.require=" + name + ": " + reason);
        }
        abort(name + ": " + reason);
    }

    private static Set<Capability> required(String words) {
        return Arrays.stream(words.split(","))
                .filter(word -> !word.isBlank())
                .map(word -> Capability.valueOf(word.strip().toUpperCase(Locale.ROOT)))
                .collect(Collectors.toCollection(() -> EnumSet.noneOf(Capability.class)));
    }
}
