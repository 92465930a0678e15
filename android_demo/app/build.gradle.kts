plugins {
    alias(libs.plugins.android.application)
}

// -Pvulkan takes the runtime with the Vulkan delegate; XNNPACK is in both.
val executorch = if (providers.gradleProperty("vulkan").isPresent) {
    libs.executorch.vulkan
} else {
    libs.executorch.xnnpack
}

android {
    namespace = "action.mobile.app"
    compileSdk = libs.versions.compileSdk.get().toInt()

    defaultConfig {
        applicationId = "action.mobile.app"
        minSdk = libs.versions.minSdk.get().toInt()
        targetSdk = libs.versions.compileSdk.get().toInt()
        versionCode = 1
        versionName = "0.1.0"
        // Reports name the runtime's version; the runtime itself does not tell it.
        manifestPlaceholders["executorch"] = libs.versions.executorch.get()
        // What the runtime's libraries exist for: phones, and emulators on a PC.
        ndk { abiFilters += listOf("arm64-v8a", "x86_64") }
    }

    compileOptions {
        sourceCompatibility = JavaVersion.toVersion(libs.versions.java.get())
        targetCompatibility = JavaVersion.toVersion(libs.versions.java.get())
    }

    // The program's and the golden clip's bytes hardly shrink; stored, they are read without a copy.
    androidResources { noCompress += listOf("pte", "f32", "u8") }

    packaging {
        // More than one of the runtime's dependencies brings it.
        jniLibs.pickFirsts += "**/libc++_shared.so"
        resources.excludes += "META-INF/{AL2.0,LGPL2.1,LICENSE*,NOTICE*}"
    }

    testOptions.unitTests.all {
        it.useJUnitPlatform()
        it.systemProperty("repository", rootDir.parent)
    }
}

dependencies {
    implementation(project(":recognizer"))
    // Its own dependencies ask for androidx, which nothing here uses; what its classes need follows.
    implementation(executorch) { isTransitive = false }
    implementation(libs.fbjni)
    implementation(libs.nativeloader)
    testImplementation(platform(libs.junit.bom))
    testImplementation(libs.junit)
    testImplementation(libs.schema.validator)
    testRuntimeOnly(libs.junit.launcher)
    testRuntimeOnly(libs.slf4j.nop)
}
