/**
 * The engine alone, without a kernel interface around it, measured by JMH: {@code bin/bench --engine}. Each benchmark is
 * one question about one step of a request; what a request costs as a whole is {@link io.ucow.it.bench}'s.
 *
 * <p>Files lie in {@code java.io.tmpdir} and stay in the page cache.
 *
 * <p>Threading: one thread each, unless JMH is told otherwise.
 */
package io.ucow.it.jmh;
