package io.ucow.store.journal;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucow.store.CowDevice;
import io.ucow.store.SparseFile;
import io.ucow.store.StoreOptions;
import io.ucow.store.TestDevices;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class LeakTest {
    @ParameterizedTest
    @ValueSource(ints = {12, 15, 16})
    void imageThatWasClosedHasNoLeaks(int chunkShift) throws IOException {
        UcowFormat format = new UcowFormat();
        SparseFile file = new SparseFile();
        int leafChunks = 508;
        format.create(file, (leafChunks * 24L) << chunkShift, null, StoreOptions.ofChunk(1 << chunkShift));
        // Each session alters a chunk in one more leaf, and those before: its pages move from slot to slot.
        for (int session = 1; session <= 24; session++) {
            try (CowDevice device = TestDevices.open(format, file, TestDevices.origin(new byte[0]), TestDevices.BOOT)) {
                for (int leaf = 0; leaf < session; leaf++) {
                    long chunk = (long) leaf * leafChunks + session;
                    device.write(chunk << chunkShift, TestDevices.direct(new byte[] {1}, 0, 1));
                }
            }
            assertThat(format.check(file, Path.of("leak.cow"), TestDevices.BOOT).leakedBytes())
                    .as("session %d", session)
                    .isZero();
        }
    }
}
