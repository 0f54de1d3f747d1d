package io.ucow.cli.daemon;

import io.ucow.sys.Libc;
import java.io.Closeable;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.zip.CRC32C;

/**
 * The directory through which commands and daemons find each other: {@code $UCOW_RUN_DIR} if set, {@code /run/ucow} for
 * root, {@code $XDG_RUNTIME_DIR/ucow} for others. Only its owner can enter it.
 *
 * <pre>
 *   lock         held while somebody claims a mount or cleans up after the dead
 *   ID.json      a daemon's {@link DaemonState}
 *   ID.sock      its control socket
 *   ID.log       its log; stays when it dies, goes when it ends well
 *   mnt/ID/      where {@code ucow attach} mounts
 * </pre>
 *
 * <p>Threading: immutable. State files are replaced whole, so readers need no lock.
 */
public final class RunDirectory {
    private static final int STDERR = 2;
    private static final int LOG_MODE = 0600;
    private static final int MAX_NAME_IN_ID = 24;
    /** A keeper that gives up changes nothing here: how often to look whether it is there. */
    private static final int KEEPER_CHECK_MILLIS = 500;

    private final Path root;

    private RunDirectory(Path root) {
        this.root = root;
    }

    /** This user's, which need not exist yet. */
    public static RunDirectory ofUser() throws IOException {
        return of(System.getenv(), isRoot());
    }

    static RunDirectory of(Map<String, String> environment, boolean root) throws AccessDeniedException {
        String chosen = environment.getOrDefault("UCOW_RUN_DIR", "");
        if (!chosen.isEmpty()) {
            return new RunDirectory(Path.of(chosen).toAbsolutePath().normalize());
        }
        if (root) {
            return new RunDirectory(Path.of("/run/ucow"));
        }
        String user = environment.getOrDefault("XDG_RUNTIME_DIR", "");
        if (user.isEmpty()) {
            throw new AccessDeniedException(
                    "/run/ucow",
                    null,
                    "only root may use it, and XDG_RUNTIME_DIR is not set; set it to a directory of yours");
        }
        return new RunDirectory(Path.of(user, "ucow").toAbsolutePath().normalize());
    }

    /** Read from {@code /proc}, so that commands as small as {@code list} load no native library. */
    private static boolean isRoot() throws IOException {
        return Integer.valueOf(0).equals(Files.getAttribute(Path.of("/proc/self"), "unix:uid"));
    }

    /** Makes the directory with mode 0700 where it is missing; refuses one that belongs to another user. */
    public void create() throws IOException {
        var mode = PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------"));
        if (!Files.isDirectory(root)) {
            Files.createDirectories(root, mode);
        }
        Object owner = Files.getAttribute(root, "unix:uid", LinkOption.NOFOLLOW_LINKS);
        if (!owner.equals(Files.getAttribute(Path.of("/proc/self"), "unix:uid"))) {
            throw new AccessDeniedException(root.toString(), null, "belongs to user id " + owner + "; remove it");
        }
        Files.setPosixFilePermissions(root, mode.value());
    }

    /** A short name for the daemon that has to do with {@code path}: always the same for one path. */
    public static String idFor(Path path) {
        CRC32C hash = new CRC32C();
        hash.update(path.toString().getBytes(StandardCharsets.UTF_8));
        String name = String.valueOf(path.getFileName()).replaceAll("[^A-Za-z0-9._-]", "_");
        return name.substring(0, Math.min(name.length(), MAX_NAME_IN_ID)) + "-"
                + HexFormat.of().toHexDigits((int) hash.getValue());
    }

    /** The control socket of daemon {@code id}. */
    public Path socket(String id) {
        return root.resolve(id + ".sock");
    }

    /** The log of daemon {@code id}. */
    public Path log(String id) {
        return root.resolve(id + ".log");
    }

    /** Makes standard error of this process, and of those it will start, the log of daemon {@code id}. */
    void logTo(String id) throws IOException {
        int log = Libc.open(log(id).toString(), Libc.O_WRONLY | Libc.O_CREAT | Libc.O_APPEND, LOG_MODE);
        try {
            Libc.dup2(log, STDERR);
        } finally {
            Libc.close(log);
        }
    }

    /** Where {@code ucow attach} mounts for daemon {@code id}. */
    public Path mountPoint(String id) {
        return root.resolve("mnt").resolve(id);
    }

    /** Waits until nobody else holds the lock; closing what is returned gives it back. */
    public Closeable lock() throws IOException {
        FileChannel channel =
                FileChannel.open(root.resolve("lock"), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        try {
            channel.lock();
        } catch (IOException e) {
            channel.close();
            throw e;
        }
        return channel;
    }

    /** The states of all daemons, living and dead, ordered by id. */
    public List<DaemonState> states() throws IOException {
        List<DaemonState> states = new ArrayList<>();
        try (DirectoryStream<Path> files = Files.newDirectoryStream(root, "*.json")) {
            for (Path file : files) {
                readInto(states, file);
            }
        } catch (NoSuchFileException e) {
            return List.of(); // no run directory: no daemon was ever started
        }
        states.sort(Comparator.comparing(DaemonState::id));
        return states;
    }

    /** The state of daemon {@code id}. */
    Optional<DaemonState> state(String id) throws IOException {
        return states().stream().filter(s -> s.id().equals(id)).findFirst();
    }

    /**
     * Waits while daemon {@code id} is dead and about to have a successor.
     *
     * @return the daemon that serves now
     * @throws NoSuchFileException if there is none, and none to come
     */
    DaemonState awaitServed(String id) throws IOException {
        Optional<DaemonState> now = state(id);
        if (now.isPresent() && now.get().ready() && now.get().isServing()) {
            return now.get();
        }
        // Before the next look, so that no change is missed. A state is moved to its place when it is complete.
        int changes = Libc.watch(root.toString(), Libc.IN_MOVED_TO | Libc.IN_DELETE);
        try {
            while (true) {
                DaemonState state = state(id)
                        .filter(DaemonState::ready)
                        .orElseThrow(() -> new NoSuchFileException(id, null, "its daemon has ended"));
                if (state.isServing()) {
                    return state;
                }
                if (!state.isAlive()) {
                    throw new NoSuchFileException(
                            state.dir().toString(), null, "its daemon has died; see the log " + log(id));
                }
                if (Libc.awaitReadable(changes, KEEPER_CHECK_MILLIS)) {
                    Libc.drain(changes);
                }
            }
        } finally {
            Libc.close(changes);
        }
    }

    private static void readInto(List<DaemonState> states, Path file) throws IOException {
        try {
            states.add(DaemonState.fromJson(Files.readString(file)));
        } catch (NoSuchFileException e) {
            return; // its daemon ended meanwhile
        } catch (IOException e) {
            throw new IOException(file + ": " + e.getMessage() + "; remove it", e);
        }
    }

    /** Stores a daemon's state; readers see the old one or the new one. */
    public void write(DaemonState state) throws IOException {
        Path temporary = root.resolve(state.id() + ".tmp");
        Files.writeString(temporary, state.toJson() + "\n");
        Files.move(temporary, stateFile(state.id()), StandardCopyOption.ATOMIC_MOVE);
    }

    /** Removes everything that daemon {@code id} kept here but its log. */
    public void remove(String id) throws IOException {
        Files.deleteIfExists(mountPoint(id));
        Files.deleteIfExists(socket(id));
        Files.deleteIfExists(stateFile(id));
    }

    private Path stateFile(String id) {
        return root.resolve(id + ".json");
    }
}
