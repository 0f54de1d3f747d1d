package io.ucow.it;

import static org.assertj.core.api.Assertions.assertThat;

import com.grack.nanojson.JsonArray;
import com.grack.nanojson.JsonObject;
import com.grack.nanojson.JsonParser;
import com.grack.nanojson.JsonParserException;
import io.ucow.sys.Libc;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.function.Predicate;
import java.util.stream.Stream;
import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.BeforeEachCallback;
import org.junit.jupiter.api.extension.ExtensionContext;

/**
 * Where a test lives: a directory of its own, with a run directory of its own in it, and {@code bin/ucow} called there.
 * <pre>
 *   root/          the working directory of every call
 *     run/         UCOW_RUN_DIR; {@link #in} has others beside it
 *     mnt1/ ...    what {@link #mount} mounts on
 * </pre>
 *
 * <p>After a test that passed, whatever it still has mounted and attached is ended as a user would end it, which must
 * work and leave nothing. After any test, what is there all the same is taken away by force: mounts in the directory or
 * on its loop devices, those devices, and processes that this home's calls have started, told by the run directory in
 * their environment.
 *
 * <p>Threading: one thread at a time.
 */
final class UcowHome implements BeforeEachCallback, AfterEachCallback {
    private static final String RUN_DIRECTORY = "UCOW_RUN_DIR";
    private static final Duration CLEANING_LIMIT = Duration.ofSeconds(15);
    /** For a successor that fails time and again, and for a busy machine. */
    private static final Duration CHANGE_LIMIT = Duration.ofSeconds(60);

    private static final int MIB = 1 << 20;

    private Path root;
    private int mounts;
    private final Set<String> runDirectories = new LinkedHashSet<>();
    /** What daemons that died leave by intent. */
    private final Set<Path> logsOfKilled = new LinkedHashSet<>();

    @Override
    public void beforeEach(ExtensionContext test) throws IOException {
        Requirements.fuse();
        root = Files.createTempDirectory("ucow-it-home").toRealPath();
    }

    @Override
    public void afterEach(ExtensionContext test) throws IOException {
        if (root == null) {
            return; // skipped
        }
        try {
            if (test.getExecutionException().isEmpty()) {
                endOrderly();
            }
        } finally {
            clearAway();
        }
    }

    /** The test's directory, without symbolic links. */
    Path root() {
        return root;
    }

    /** A name in the test's directory. */
    Path path(String name) {
        return root.resolve(name);
    }

    /** The run directory of {@link #ucow}. */
    Path runDirectory() {
        return path("run");
    }

    /** A call of {@code bin/ucow}, from the test's directory. */
    Tool ucow(Object... arguments) {
        return in("run", arguments);
    }

    /** A call with another run directory, as another user of this machine would make. */
    Tool in(String runDirectory, Object... arguments) {
        runDirectories.add(runDirectory);
        return Ucow.command(arguments)
                .in(root)
                .with(RUN_DIRECTORY, path(runDirectory).toString());
    }

    /** Bytes that no two chunks have in common. */
    Path randomFile(String name, long mebibytes, long seed) throws IOException {
        Path file = path(name);
        Random random = new Random(seed);
        byte[] part = new byte[MIB];
        try (var out = Files.newOutputStream(file)) {
            for (long i = 0; i < mebibytes; i++) {
                random.nextBytes(part);
                out.write(part);
            }
        }
        return file;
    }

    /** A new file of {@code bytes} zeros that occupies nothing. */
    Path sparseFile(String name, long bytes) throws IOException {
        Path file = path(name);
        Tool.of("truncate", "-s", bytes, file).succeed();
        return file;
    }

    /** A new image; {@code options} are those of {@code ucow create}, such as {@code "--chunk", "4K"}. */
    Path create(String name, Path base, Object... options) throws IOException {
        List<Object> arguments = new ArrayList<>(List.of("create", "--base", base));
        arguments.addAll(Arrays.asList(options));
        Path image = path(name);
        arguments.add(image);
        ucow(arguments.toArray()).succeed();
        return image;
    }

    /** Mounts on a new directory, before whose name {@code ucow mount} is given {@code imagesAndOptions}. */
    MountedImage mount(Object... imagesAndOptions) throws IOException {
        Path dir = Files.createDirectory(path("mnt" + ++mounts));
        return mountAt(dir, imagesAndOptions);
    }

    /** Mounts on a directory that exists. */
    MountedImage mountAt(Path dir, Object... imagesAndOptions) throws IOException {
        List<Object> arguments = new ArrayList<>(List.of("mount"));
        arguments.addAll(Arrays.asList(imagesAndOptions));
        arguments.add(dir);
        Tool.Result result = ucow(arguments.toArray()).succeed();
        assertThat(result.stdout() + result.stderr()).isEmpty();
        return MountedImage.at(this, dir);
    }

    /** Attaches an image. @return the loop device */
    Path attach(Object... imageAndOptions) throws IOException {
        List<Object> arguments = new ArrayList<>(List.of("attach"));
        arguments.addAll(Arrays.asList(imageAndOptions));
        Tool.Result result = ucow(arguments.toArray()).succeed();
        assertThat(result.stdout()).matches("/dev/loop[0-9]+\n");
        return Path.of(result.line());
    }

    /** As {@link #attach}; on return the daemon has a keeper, where it is to have one. */
    Path attachKept(Object... optionsAndImage) throws IOException {
        Path device = attach(optionsAndImage);
        awaitKeepers();
        return device;
    }

    /** As {@link #mount}; on return the daemon has a keeper, where it is to have one. */
    MountedImage mountKept(Object... imagesAndOptions) throws IOException {
        MountedImage mounted = mount(imagesAndOptions);
        awaitKeepers();
        return mounted;
    }

    /** Returns when every daemon of transport {@code direct} in {@link #runDirectory} has its keeper. */
    void awaitKeepers() throws IOException {
        Changes.await(runDirectory(), Libc.IN_MOVED_TO, CHANGE_LIMIT, "a keeper comes", this::allKept);
    }

    private boolean allKept() throws IOException {
        try (DirectoryStream<Path> states = Files.newDirectoryStream(runDirectory(), "*.json")) {
            for (Path state : states) {
                if (!isKept(object(Files.readString(state)))) {
                    return false;
                }
            }
        }
        return true;
    }

    private static boolean isKept(JsonObject state) {
        return !state.getString("transport").equals("direct") || !state.isNull("keeper");
    }

    /** True of all daemons but those of {@code mount --foreground}, which never have a keeper. */
    private static boolean isBackground(long daemon) throws IOException {
        return Files.readString(Path.of("/proc/" + daemon + "/cmdline")).endsWith("\0daemon\0");
    }

    /** Ends what {@link #attach} began. */
    void detach(Path imageOrDevice) throws IOException {
        Tool.Result result = ucow("detach", imageOrDevice).succeed();
        assertThat(result.stdout() + result.stderr()).isEmpty();
    }

    /** What {@code ucow list} has in this home. */
    List<JsonObject> list() throws IOException {
        return objects(ucow("list", "--json").succeed().stdout());
    }

    /** What {@code verb --json} says of something. */
    List<JsonObject> objectsOf(String verb, Object target) throws IOException {
        return objects(ucow(verb, "--json", target).succeed().stdout());
    }

    /** What {@code ucow list} has for {@code image}. */
    JsonObject rowOf(Path image) throws IOException {
        return list().stream()
                .filter(row -> image.toString().equals(row.getString("image")))
                .findFirst()
                .orElseThrow(() -> new AssertionError(image + " is not served"));
    }

    /** The process that serves {@code image}. */
    long daemonOf(Path image) throws IOException {
        return rowOf(image).getLong("pid");
    }

    /** What {@code ucow list} has for {@code image} once that is as it is wanted. */
    JsonObject awaitRow(Path image, Predicate<JsonObject> wanted) throws IOException {
        long deadline = System.nanoTime() + CHANGE_LIMIT.toNanos();
        while (true) {
            JsonObject row = rowOf(image);
            if (wanted.test(row)) {
                return row;
            }
            assertThat(System.nanoTime()).as("%s", row).isLessThan(deadline);
        }
    }

    /**
     * Kills a daemon of this home with {@code SIGKILL}, so that nobody takes its place; on return it is dead, and its
     * mount with it.
     */
    void kill(long daemon) throws IOException {
        if (isBackground(daemon)) {
            // One that is just being started could have taken the mount over, and nobody would know of it.
            Changes.await(
                    runDirectory(), Libc.IN_MOVED_TO, CHANGE_LIMIT, "a keeper comes", () -> isKept(stateOf(daemon)));
        }
        JsonObject state = stateOf(daemon);
        logsOfKilled.add(runDirectory().resolve(state.getString("id") + ".log"));
        if (state.isNull("keeper")) {
            killOnly(daemon);
        } else {
            // The keeper first, for it would start another daemon; at once the daemon, for it would start another
            // keeper.
            killOnly(state.getObject("keeper").getLong("pid"), daemon);
        }
    }

    /** Kills processes of this home with {@code SIGKILL}, one right after the other; on return they are dead. */
    void killOnly(long... pids) throws IOException {
        List<Long> ours = processes();
        List<ProcessHandle> handles = new ArrayList<>();
        for (long pid : pids) {
            assertThat(ours).as("processes of %s", root).contains(pid);
            ProcessHandle.of(pid).ifPresent(handles::add);
        }
        handles.forEach(ProcessHandle::destroyForcibly);
        for (long pid : pids) {
            Libc.awaitExit(pid);
        }
    }

    private JsonObject stateOf(long daemon) throws IOException {
        try (DirectoryStream<Path> states = Files.newDirectoryStream(runDirectory(), "*.json")) {
            for (Path state : states) {
                JsonObject json = object(Files.readString(state));
                if (json.getObject("process").getLong("pid") == daemon) {
                    return json;
                }
            }
        }
        throw new AssertionError("no daemon of " + runDirectory() + " is process " + daemon);
    }

    /** {@code ucow check}: no errors, no leaks. */
    void check(Path image) throws IOException {
        ucow("check", image).succeed();
    }

    /** Parses an array of objects. */
    static List<JsonObject> objects(String json) {
        try {
            JsonArray array = JsonParser.array().from(json);
            return array.stream().map(JsonObject.class::cast).toList();
        } catch (JsonParserException e) {
            throw new AssertionError("no JSON array: " + json, e);
        }
    }

    /** Parses one object. */
    static JsonObject object(String json) {
        try {
            return JsonParser.object().from(json);
        } catch (JsonParserException e) {
            throw new AssertionError("no JSON object: " + json, e);
        }
    }

    /** Everything in the run directories but the lock, and the logs of daemons that {@link #kill} has killed. */
    List<Path> leftInRunDirectories() throws IOException {
        List<Path> left = new ArrayList<>();
        for (String name : runDirectories) {
            Path directory = path(name);
            if (Files.isDirectory(directory)) {
                try (Stream<Path> files = Files.walk(directory)) {
                    files.filter(f -> !f.equals(directory) && !f.equals(directory.resolve("lock")))
                            .filter(f -> !f.equals(directory.resolve("mnt")) && !logsOfKilled.contains(f))
                            .forEach(left::add);
                }
            }
        }
        return left;
    }

    /** The processes that calls of this home have started and that have not ended. */
    List<Long> processes() throws IOException {
        List<Long> found = new ArrayList<>();
        try (DirectoryStream<Path> all = Files.newDirectoryStream(Path.of("/proc"), "[0-9]*")) {
            for (Path process : all) {
                if (environmentOf(process).stream().anyMatch(v -> v.startsWith(RUN_DIRECTORY + "=" + root + "/"))) {
                    found.add(Long.parseLong(process.getFileName().toString()));
                }
            }
        }
        return found;
    }

    private static List<String> environmentOf(Path process) {
        try {
            return List.of(Files.readString(process.resolve("environ"), java.nio.charset.StandardCharsets.ISO_8859_1)
                    .split("\0"));
        } catch (IOException e) {
            return List.of(); // it has ended, or is none of our business
        }
    }

    /** A field of {@code /proc/PID/status} in kibibytes, such as {@code VmRSS}. */
    static long residentKilobytes(long pid, String field) throws IOException {
        for (String line : Files.readAllLines(Path.of("/proc", Long.toString(pid), "status"))) {
            if (line.startsWith(field + ":")) {
                return Long.parseLong(line.replaceAll("[^0-9]", ""));
            }
        }
        throw new AssertionError("process " + pid + " has no " + field);
    }

    /** Whether a process has {@code file} open. */
    static boolean hasOpen(long pid, Path file) {
        try (DirectoryStream<Path> descriptors = Files.newDirectoryStream(Path.of("/proc", Long.toString(pid), "fd"))) {
            for (Path descriptor : descriptors) {
                if (Files.readSymbolicLink(descriptor).equals(file)) {
                    return true;
                }
            }
            return false;
        } catch (IOException e) {
            return false; // the process, or that descriptor, is gone
        }
    }

    /** Mounts in the test's directory and on its loop devices, in mounting order. */
    List<Path> mountPoints() throws IOException {
        List<Path> devices = loopDevices();
        List<Path> points = new ArrayList<>();
        for (String line : Files.readAllLines(Path.of("/proc/self/mountinfo"))) {
            String[] words = line.split(" ", -1);
            Path point = Path.of(words[4].replace("\\040", " "));
            Path source = Path.of(
                    line.substring(line.indexOf(" - ")).split(" ", -1)[3].replace("\\040", " "));
            if (point.startsWith(root) || devices.contains(source)) {
                points.add(point);
            }
        }
        return points;
    }

    /** Loop devices on files in the test's directory. */
    List<Path> loopDevices() throws IOException {
        List<Path> devices = new ArrayList<>();
        try (DirectoryStream<Path> all = Files.newDirectoryStream(Path.of("/sys/block"), "loop*")) {
            for (Path device : all) {
                String file = backingFile(device);
                if (!file.isEmpty() && Path.of(file).startsWith(root)) {
                    devices.add(Path.of("/dev").resolve(device.getFileName()));
                }
            }
        }
        return devices;
    }

    private static String backingFile(Path sysfs) {
        try {
            return Files.readString(sysfs.resolve("loop/backing_file")).strip();
        } catch (IOException e) {
            return ""; // not attached, or no more
        }
    }

    private void endOrderly() throws IOException {
        for (String run : runDirectories) {
            Set<List<String>> ends = new LinkedHashSet<>();
            for (JsonObject row : objects(in(run, "list", "--json").succeed().stdout())) {
                ends.add(
                        row.isNull("loop")
                                ? List.of("unmount", row.getString("dir"))
                                : List.of("detach", row.getString("loop")));
            }
            for (List<String> end : ends) {
                in(run, end.toArray()).succeed();
            }
        }
        assertThat(mountPoints().stream().filter(m -> !isDiskMount(m)).toList())
                .as("mounts left behind")
                .isEmpty();
        assertThat(processes()).as("processes left behind").isEmpty();
        assertThat(leftInRunDirectories()).as("files left behind").isEmpty();
    }

    /** File systems that the test itself made, for a store to be in. */
    private boolean isDiskMount(Path mountPoint) {
        return mountPoint.getFileName().toString().startsWith("disk");
    }

    private void clearAway() throws IOException {
        for (Path point : reversed(mountPoints())) {
            // Half of the limit is a stuck one's; then by force below.
            Tool.of("timeout", "--signal=KILL", CLEANING_LIMIT.toSeconds() / 2, "umount", point)
                    .within(CLEANING_LIMIT)
                    .run();
        }
        for (Path device : loopDevices()) {
            Tool.of("losetup", "--detach", device).within(CLEANING_LIMIT).run();
        }
        for (long pid : processes()) {
            ProcessHandle.of(pid).ifPresent(ProcessHandle::destroyForcibly);
            Libc.awaitExit(pid);
        }
        for (Path point : reversed(mountPoints())) {
            Tool.of("umount", "--lazy", point).within(CLEANING_LIMIT).run();
        }
        for (Path device : loopDevices()) {
            Tool.of("losetup", "--detach", device).within(CLEANING_LIMIT).run();
        }
        Tool.of("rm", "-rf", "--one-file-system", root).succeed();
    }

    private static List<Path> reversed(List<Path> list) {
        List<Path> reversed = new ArrayList<>(list);
        Collections.reverse(reversed);
        return reversed;
    }
}
