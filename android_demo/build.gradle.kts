// The Android plugin compiles Kotlin by itself since 9.0, with the Kotlin plugin that it finds here:
// the JVM plugin, which :recognizer applies, brings the version of the catalogue in place of its own.
plugins {
    alias(libs.plugins.android.application) apply false
    alias(libs.plugins.kotlin.jvm) apply false
}
