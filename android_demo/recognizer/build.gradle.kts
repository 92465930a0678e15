import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    alias(libs.plugins.kotlin.jvm)
}

kotlin {
    compilerOptions { jvmTarget = JvmTarget.fromTarget(libs.versions.java.get()) }
}

// There is no Java source, but Gradle compares both targets.
java {
    sourceCompatibility = JavaVersion.toVersion(libs.versions.java.get())
    targetCompatibility = JavaVersion.toVersion(libs.versions.java.get())
}

dependencies {
    testImplementation(platform(libs.junit.bom))
    testImplementation(libs.junit)
    testImplementation(libs.schema.validator)
    testRuntimeOnly(libs.junit.launcher)
    testRuntimeOnly(libs.slf4j.nop)
}

tasks.test {
    useJUnitPlatform()
    systemProperty("repository", rootDir.parent)
    // What a Python test prepared: -Pfixtures=DIR; empty: the tests that need it are skipped.
    systemProperty("fixtures", providers.gradleProperty("fixtures").getOrElse(""))
}
