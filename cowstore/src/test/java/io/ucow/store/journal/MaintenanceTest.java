package io.ucow.store.journal;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucow.sys.Errno;
import io.ucow.sys.NativeException;
import java.lang.reflect.Proxy;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.slf4j.Logger;

@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class MaintenanceTest {
    private final List<String> logged = new CopyOnWriteArrayList<>();
    private final Logger log = (Logger) Proxy.newProxyInstance(
            getClass().getClassLoader(), new Class<?>[] {Logger.class}, (proxy, method, arguments) -> {
                logged.add(method.getName());
                return null;
            });

    @Test
    void failureIsLoggedOnceUntilTheTaskSucceedsAgain() throws InterruptedException {
        // One letter for each run: x fails.
        String script = "xxx..xx.";
        Semaphore begun = new Semaphore(0);
        int[] runs = new int[1];
        Maintenance maintenance = new Maintenance(
                idle -> {
                    int run = runs[0]++;
                    begun.release();
                    if (run < script.length() && script.charAt(run) == 'x') {
                        throw new NativeException("pwrite", Errno.ENOSPC);
                    }
                    return false;
                },
                "test",
                log);
        maintenance.start();
        try {
            // A run that has begun has seen the one before it logged; one more than the script has.
            for (int i = 0; i <= script.length(); i++) {
                maintenance.wake();
                assertThat(begun.tryAcquire(30, TimeUnit.SECONDS)).isTrue();
            }
        } finally {
            maintenance.stop();
        }
        assertThat(logged).containsExactly("warn", "info", "warn", "info");
    }

    @Test
    void failedTaskIsRunAgainByItself() throws InterruptedException {
        Semaphore begun = new Semaphore(0);
        Maintenance maintenance = new Maintenance(
                idle -> {
                    begun.release();
                    if (!idle) {
                        throw new NativeException("pwrite", Errno.ENOSPC);
                    }
                    return false;
                },
                "test",
                log);
        maintenance.start();
        try {
            maintenance.wake();
            assertThat(begun.tryAcquire(2, 30, TimeUnit.SECONDS)).isTrue();
        } finally {
            maintenance.stop();
        }
    }
}
