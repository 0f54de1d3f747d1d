package io.ucow.cli;

import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/** The mistakes with file names that everybody makes first, answered with what to do about them. */
final class ImageFiles {
    private ImageFiles() {}

    /** @throws IOException if there is no file at all, or a directory */
    static void requireImage(Path image) throws IOException {
        if (Files.notExists(image)) {
            throw new NoSuchFileException(
                    image.toString(), null, "no such image; make it with: ucow create --base BASE " + image);
        }
        requireNoDirectory(image, "an image");
    }

    /** @throws IOException if there is no file at all, or a directory */
    static void requireLayer(Path layer) throws IOException {
        if (Files.notExists(layer)) {
            throw new NoSuchFileException(
                    layer.toString(), null, "no such layer; 'ucow info --chain IMAGE' lists those of an image");
        }
        requireNoDirectory(layer, "a layer");
    }

    /** @throws IOException if the directory that a new image is to be in does not exist, or its name leads nowhere */
    static void requireDirectoryOf(Path image) throws IOException {
        if (Files.isSymbolicLink(image) && Files.notExists(image)) {
            throw new FileAlreadyExistsException(
                    image.toString(), null, "is a symbolic link that leads nowhere; remove it, or choose another name");
        }
        Path directory = image.toAbsolutePath().getParent();
        if (directory != null && Files.notExists(directory)) {
            throw new NoSuchFileException(directory.toString(), null, "no such directory; make it with mkdir -p");
        }
    }

    /** @throws IOException if there is no file at all, or a directory */
    static void requireBase(Path base) throws IOException {
        if (Files.notExists(base)) {
            throw new NoSuchFileException(
                    base.toString(), null, "no such base; name a raw disk image, a block device or a ucow image");
        }
        requireNoDirectory(base, "a base");
    }

    /** @throws IOException if {@code path} is a directory where {@code wanted} is expected */
    static void requireNoDirectory(Path path, String wanted) throws IOException {
        if (Files.isDirectory(path)) {
            throw new WrongKindException(path + ": is a directory, not " + wanted);
        }
    }
}
