package io.ucow.store;

import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.file.Path;

/** Where a repair puts the metadata of an image before it changes any. */
public interface MetadataCopy {
    /**
     * Makes a new file, has it written, and makes it durable; nothing is left of it when that fails.
     *
     * @return the file's name
     */
    Path make(Writer content) throws IOException;

    /** Writes what is to be kept. */
    interface Writer {
        /** Writes into {@code copy}, which is empty and stays the caller's. */
        void writeTo(PositionalFile copy) throws IOException;
    }
}
