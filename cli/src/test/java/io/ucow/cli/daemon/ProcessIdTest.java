package io.ucow.cli.daemon;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(value = 60, unit = TimeUnit.SECONDS)
class ProcessIdTest {
    @Test
    void thisProcessIsAlive() throws Exception {
        assertThat(ProcessId.current().pid()).isEqualTo(ProcessHandle.current().pid());
        assertThat(ProcessId.current().isAlive()).isTrue();
    }

    @Test
    void anotherProcessOfTheSameNumberIsNotIt() throws Exception {
        ProcessId self = ProcessId.current();

        assertThat(new ProcessId(self.pid(), self.startTicks() - 1).isAlive()).isFalse();
    }

    @Test
    void oneThatNeverWasIsDead() throws Exception {
        assertThat(new ProcessId(Integer.MAX_VALUE, 1).isAlive()).isFalse();
        new ProcessId(Integer.MAX_VALUE, 1).awaitEnd();
    }

    @Test
    void waitsForTheEndOfAProcess() throws Exception {
        Process child = new ProcessBuilder("cat").start();
        String stat = Files.readString(Path.of("/proc", Long.toString(child.pid()), "stat"));
        ProcessId id = new ProcessId(child.pid(), Long.parseLong(stat.split(" ", -1)[21]));
        assertThat(id.isAlive()).isTrue();

        child.getOutputStream().close();
        id.awaitEnd();

        assertThat(id.isAlive()).isFalse();
        child.waitFor();
    }
}
