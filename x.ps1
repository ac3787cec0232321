# The house's commands on Windows: .\x.ps1 run, .\x.ps1 test. As ./x, without system packages.
$ErrorActionPreference = 'Stop'
$root = $PSScriptRoot
$command = if ($args.Count -gt 0) { $args[0] } else { 'help' }
$rest = @($args | Select-Object -Skip 1)

function Show-Help {
    Write-Output @'
.\x.ps1 run [--release] [COMMAND ..]   builds, then opens the desk, or runs that command of it
.\x.ps1 test [STEP ..]                 everything CI checks, or only these steps
.\x.ps1 build [--release]              builds the programs
.\x.ps1 help                           this
'@
}

function Stop-Unless-Cargo {
    if (-not (Get-Command cargo -ErrorAction SilentlyContinue)) {
        throw 'No Rust toolchain here. Install Rust 1.95 or newer (https://rustup.rs) and the Visual Studio C++ build tools, then run this again.'
    }
}

function Invoke-Cargo([string]$folder, [string[]]$arguments) {
    Push-Location $folder
    try {
        & cargo @arguments | Out-Host
        if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
    } finally {
        Pop-Location
    }
}

function Get-Programs([string]$workspace, [string]$buildProfile) {
    $target = if ($env:CARGO_TARGET_DIR) { $env:CARGO_TARGET_DIR } else { Join-Path $workspace 'target' }
    Join-Path $target $buildProfile
}

function Build([string[]]$flags) {
    if ($env:CARGO_TARGET_DIR -and -not [IO.Path]::IsPathRooted($env:CARGO_TARGET_DIR)) {
        $env:CARGO_TARGET_DIR = Join-Path $root $env:CARGO_TARGET_DIR
    }
    Invoke-Cargo $root (@('build', '--locked', '-p', 'pilothouse') + $flags)
    Invoke-Cargo (Join-Path $root 'wallet/executor') (@('build', '--locked', '--workspace', '--bins') + $flags)
}

$flags = @()
if ($command -in 'run', 'build' -and $rest.Count -gt 0 -and $rest[0] -eq '--release') {
    $flags = @('--release')
    $rest = @($rest | Select-Object -Skip 1)
}
$buildProfile = if ($flags.Count -gt 0) { 'release' } else { 'debug' }

switch ($command) {
    'run' {
        Stop-Unless-Cargo
        Build $flags
        if (-not $env:PILOTHOUSE_LIBEXEC) {
            $env:PILOTHOUSE_LIBEXEC = Get-Programs (Join-Path $root 'wallet/executor') $buildProfile
        }
        & (Join-Path (Get-Programs $root $buildProfile) 'pilothouse.exe') @rest
        exit $LASTEXITCODE
    }
    'build' {
        Stop-Unless-Cargo
        Build $flags
    }
    'test' {
        Stop-Unless-Cargo
        if (-not (& cargo --list | Select-String -Quiet '^\s+nextest')) { & cargo install --locked cargo-nextest }
        $steps = @($rest | ForEach-Object { '--only'; $_ })
        Invoke-Cargo $root (@('xtask', 'ci') + $steps)
    }
    'help' { Show-Help }
    default {
        Show-Help
        exit 2
    }
}
