package io.ucow.store;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.BooleanSupplier;

/** Threads of a scripted interleaving. */
final class Crew {
    private static final long LIMIT_SECONDS = 30;

    private Crew() {}

    /** What a member does. */
    interface Job {
        void run() throws Exception;
    }

    /** One thread at its job. */
    static final class Member {
        private final FutureTask<Void> task;
        private final Thread thread;

        private Member(Job job) {
            task = new FutureTask<>(() -> {
                job.run();
                return null;
            });
            thread = new Thread(task, "crew");
            thread.setDaemon(true);
            thread.start();
        }

        boolean isDone() {
            return task.isDone();
        }

        /** Returns when the thread waits for something: the one thing left for it to do. */
        void awaitBlocked() {
            awaitTrue(() -> thread.getState() == Thread.State.WAITING);
        }

        /** Returns when the job is done; throws what it threw. */
        void join() throws Exception {
            try {
                task.get(LIMIT_SECONDS, TimeUnit.SECONDS);
            } catch (ExecutionException e) {
                if (e.getCause() instanceof Exception failure) {
                    throw failure;
                }
                throw e;
            } catch (TimeoutException e) {
                AssertionError stuck = new AssertionError("stuck at:", e);
                stuck.setStackTrace(thread.getStackTrace());
                throw stuck;
            }
        }
    }

    static Member start(Job job) {
        return new Member(job);
    }

    /** Spins until {@code condition} holds. */
    static void awaitTrue(BooleanSupplier condition) {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(LIMIT_SECONDS);
        while (!condition.getAsBoolean()) {
            assertThat(System.nanoTime()).as("waited too long").isLessThan(deadline);
            Thread.onSpinWait();
        }
    }
}
