package io.ucow.cli.daemon;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.store.CacheMode;
import io.ucow.store.CreateOptions;
import io.ucow.store.Images;
import io.ucow.store.OpenOptions;
import io.ucow.store.StoreOptions;
import io.ucow.store.SwappableDevice;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Commands that change an image as a whole, of which another one does so already. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class ServedDeviceTest {
    private static final int BYTES = 1 << 20;

    @TempDir
    Path directory;

    private Path image;
    private ServedDevice served;

    @BeforeEach
    void serve() throws IOException {
        Path base = Files.write(directory.resolve("base.img"), new byte[BYTES]);
        image = directory.resolve("vm.cow");
        Images.create(
                new CreateOptions(image, Optional.of(base), OptionalLong.empty(), "ucow", StoreOptions.ofChunk(4096)));
        OpenOptions options = new OpenOptions(false, CacheMode.WRITEBACK, true, false);
        SwappableDevice device = SwappableDevice.open(image, options);
        device.write(0, ByteBuffer.allocateDirect(8).putLong(0, 7));
        served = new ServedDevice(
                new ServedFile("vm", List.of(image), Optional.empty()),
                device,
                options,
                () -> {
                    throw new AssertionError("nobody asks for a table");
                },
                List.of(new ServedDevice.Store("vm", image, device, device::opened)));
    }

    @Test
    void nobodyWaitsForACommit() throws Exception {
        CountDownLatch begun = new CountDownLatch(1);
        CountDownLatch goOn = new CountDownLatch(1);
        CompletableFuture<Void> commit = start(() -> served.commit(image, bytes -> {
            begun.countDown();
            await(goOn);
        }));
        begun.await();
        refused(() -> served.commit(image, bytes -> {}), ": is being committed by another command; commit it when");
        refused(() -> served.snapshot(image, Optional.empty()), ": is being committed by another command; take the");
        refused(() -> served.grow(image, OptionalLong.empty(), 2L * BYTES), ": is being committed by another command;");
        goOn.countDown();
        commit.get();
        assertThat(served.snapshot(image, Optional.empty())).exists();
        served.commit(image, bytes -> {});
        served.close();
        refused(() -> served.commit(image, bytes -> {}), ": is being unmounted; commit it when that is done");
        refused(() -> served.snapshot(image, Optional.empty()), ": is being unmounted; take the snapshot when that is");
    }

    @Test
    void whoUnmountsEndsACommitAndSaysWhatToDo() throws Exception {
        CountDownLatch begun = new CountDownLatch(1);
        CountDownLatch goOn = new CountDownLatch(1);
        CompletableFuture<Void> commit = start(() -> served.commit(image, bytes -> {
            begun.countDown();
            await(goOn);
        }));
        begun.await();
        CompletableFuture<Void> close = start(served::close);
        goOn.countDown();
        close.get();
        try {
            commit.get(); // it was done when that came
        } catch (ExecutionException e) {
            assertThat(e.getCause())
                    .hasMessage(image + ": was unmounted in the middle of a commit; nothing is lost, run it again:"
                            + " ucow commit " + image);
        }
        assertThat(Images.check(image).isSound()).isTrue();
    }

    private void refused(ThrowingCallable change, String message) {
        assertThatThrownBy(change).isInstanceOf(BusyException.class).hasMessageStartingWith(image + message);
    }

    private static CompletableFuture<Void> start(ThrowingCallable work) {
        CompletableFuture<Void> end = new CompletableFuture<>();
        new Thread(() -> {
                    try {
                        work.call();
                        end.complete(null);
                    } catch (Throwable e) {
                        end.completeExceptionally(e);
                    }
                })
                .start();
        return end;
    }

    private static void await(CountDownLatch latch) {
        try {
            latch.await();
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }
}
