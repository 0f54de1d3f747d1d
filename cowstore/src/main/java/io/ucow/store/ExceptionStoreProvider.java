package io.ucow.store;

/** One format: how images of it are recognised, created and opened. Found by {@link java.util.ServiceLoader}. */
public interface ExceptionStoreProvider {
    /** The format's name, as {@code --format} takes it: lower case, no spaces. */
    String name();

    /** One line for {@code ucow plugins}. */
    String description();
}
