package io.ucow.qcow2;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucow.store.ExceptionStore;
import io.ucow.store.ExceptionStoreProvider;
import io.ucow.store.FaultFile;
import io.ucow.store.OriginReference;
import io.ucow.store.StoreContext;
import io.ucow.store.StoreOptions;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.lang.reflect.Proxy;
import java.nio.file.Path;
import java.util.Map;

/**
 * Images with an external data file, both in one recorded file, so that there is one order of what is done to them.
 *
 * @param dataFile what the image calls the data file
 * @param raw whether that is raw
 */
record TwoFiles(Path dataFile, boolean raw) {
    static final Path NAME = Path.of("vm.qcow2");
    /** The image has so many bytes, and the data file the rest. */
    static final int IMAGE_BYTES = 24 * 4096;

    /**
     * A new image, durable.
     *
     * @param dataBytes what the data file has, in whole sectors, and the most that it can have
     */
    FaultFile create(long sizeBytes, int clusterBytes, OriginReference origin, long dataBytes) throws IOException {
        FaultFile both = new FaultFile(new byte[IMAGE_BYTES + (int) dataBytes]);
        StoreOptions asked = StoreOptions.ofChunk(clusterBytes)
                .withOwn(Map.of(
                        ImageOptions.DATA_FILE, dataFile.toString(), ImageOptions.DATA_FILE_RAW, raw ? "on" : "off"));
        new NewImage(image(both), data(both), sizeBytes, ImageOptions.of(asked)).complete(origin);
        return both;
    }

    PositionalFile image(FaultFile both) {
        return both.part(NAME.toString(), 0, IMAGE_BYTES);
    }

    PositionalFile data(FaultFile both) {
        return both.part(dataFile.toString(), IMAGE_BYTES, both.size());
    }

    /** Opens such files, and can do nothing else. */
    ExceptionStoreProvider opener(int maxLogBytes) {
        return (ExceptionStoreProvider) Proxy.newProxyInstance(
                getClass().getClassLoader(), new Class<?>[] {ExceptionStoreProvider.class}, (proxy, method, a) -> {
                    assertThat(method.getName()).isEqualTo("open");
                    return open((FaultFile) a[0], (StoreContext) a[2], maxLogBytes);
                });
    }

    private ExceptionStore open(FaultFile both, StoreContext context, int maxLogBytes) throws IOException {
        PositionalFile image = image(both);
        return new Qcow2Store(image, data(both), Qcow2Image.read(image, NAME), context, maxLogBytes);
    }
}
