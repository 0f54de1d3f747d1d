package io.ucow.cli.daemon;

import com.grack.nanojson.JsonObject;
import io.ucow.sys.Libc;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/**
 * A process for certain: numbers are used again, a number and a start time are not.
 *
 * @param pid process number
 * @param startTicks field 22 of {@code /proc/PID/stat}: clock ticks from boot to the process's start
 */
public record ProcessId(long pid, long startTicks) {
    /** Fields are counted from 1; the second, the command in parentheses, may contain anything. */
    private static final int STATE = 3, START_TICKS = 22;

    /** This process. */
    public static ProcessId current() throws IOException {
        long pid = ProcessHandle.current().pid();
        return new ProcessId(pid, Long.parseLong(field(stat(pid), START_TICKS)));
    }

    JsonObject toJson() {
        JsonObject json = new JsonObject();
        json.put("pid", pid);
        json.put("startTicks", startTicks);
        return json;
    }

    static ProcessId fromJson(JsonObject json) {
        return new ProcessId(json.getLong("pid"), json.getLong("startTicks"));
    }

    /** False once it has ended, even if its parent has not noticed. */
    public boolean isAlive() throws IOException {
        String stat;
        try {
            stat = stat(pid);
        } catch (NoSuchFileException e) {
            return false;
        }
        char state = field(stat, STATE).charAt(0);
        return state != 'Z' && state != 'X' && field(stat, START_TICKS).equals(Long.toString(startTicks));
    }

    /** Returns when it has ended. */
    public void awaitEnd() throws IOException {
        if (isAlive()) {
            Libc.awaitExit(pid);
        }
    }

    private static String stat(long pid) throws IOException {
        try {
            return Files.readString(Path.of("/proc", Long.toString(pid), "stat"));
        } catch (NoSuchFileException e) {
            throw e;
        } catch (IOException e) {
            // ESRCH: it ended between open and read.
            if (Files.exists(Path.of("/proc", Long.toString(pid)))) {
                throw e;
            }
            throw new NoSuchFileException("/proc/" + pid + "/stat");
        }
    }

    private static String field(String stat, int number) {
        return stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1)[number - 3];
    }
}
