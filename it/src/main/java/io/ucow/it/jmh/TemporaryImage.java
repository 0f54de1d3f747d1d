package io.ucow.it.jmh;

import io.ucow.store.CacheMode;
import io.ucow.store.CowDevice;
import io.ucow.store.CreateOptions;
import io.ucow.store.ExceptionStore;
import io.ucow.store.GracePeriod;
import io.ucow.store.Images;
import io.ucow.store.OpenOptions;
import io.ucow.store.StoreContext;
import io.ucow.sys.Libc;
import io.ucow.sys.NativeFile;
import java.io.Closeable;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.SplittableRandom;
import java.util.UUID;

/** A base of random bytes and an image over it, in a directory of their own, until they are closed. */
public final class TemporaryImage implements Closeable {
    static final int CHUNK_BYTES = CreateOptions.DEFAULT_CHUNK_BYTES;

    private static final int MIB = 1 << 20;

    private final Path directory;
    private final Path base;
    private final Path image;

    /** @param mebibytes the size of both */
    TemporaryImage(int mebibytes) throws IOException {
        directory = Files.createTempDirectory("ucow-engine");
        base = directory.resolve("base.img");
        image = directory.resolve("disk.cow");
        SplittableRandom random = new SplittableRandom(1);
        byte[] part = new byte[MIB];
        try (OutputStream out = Files.newOutputStream(base)) {
            for (int i = 0; i < mebibytes; i++) {
                random.nextBytes(part);
                out.write(part);
            }
        }
        create();
    }

    /** Starts over with an image that is not open: nothing is altered in it. */
    void recreate() throws IOException {
        Files.delete(image);
        create();
    }

    private void create() throws IOException {
        Images.create(new CreateOptions(image, Optional.of(base), OptionalLong.empty(), CHUNK_BYTES, "ucow"));
    }

    /** The image as a device. */
    CowDevice open() throws IOException {
        return Images.open(image, false);
    }

    /** The image as a device that looks for zeros in what is written. */
    CowDevice openDetecting() throws IOException {
        return Images.open(image, new OpenOptions(false, CacheMode.WRITEBACK, true));
    }

    /** The image's store alone. */
    ExceptionStore openStore() throws IOException {
        return openStore(image);
    }

    /** The store of an image in ucow's own format alone, without copying and waiting, to be written. */
    public static ExceptionStore openStore(Path image) throws IOException {
        UUID boot = UUID.fromString(
                Files.readString(Path.of("/proc/sys/kernel/random/boot_id")).strip());
        return Images.plugins().stream()
                .filter(plugin -> plugin.name().equals("ucow"))
                .findFirst()
                .orElseThrow()
                .open(
                        NativeFile.open(image, Libc.O_RDWR),
                        image,
                        new StoreContext(false, boot, new GracePeriod(), true));
    }

    @Override
    public void close() throws IOException {
        Files.delete(image);
        Files.delete(base);
        Files.delete(directory);
    }
}
